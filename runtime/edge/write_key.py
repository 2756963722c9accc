"""The key that a write needs, as far as that can be told without Qdrant.

Qdrant checks every request itself, and this takes nothing from that. It keeps who cannot have the right to write from
what a write takes before Qdrant sees it: a turn, memory for its body, and the lineage, which a standby would ask for.
Where Qdrant has other keys for writing (a second one, JWTs) the decision is all Qdrant's.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Final

_OTHER_KEYS: Final = frozenset({"QDRANT__SERVICE__ALT_API_KEY", "QDRANT__SERVICE__JWT_RBAC"})
MISSING: Final = "a write needs the api key, as header `api-key` or `Authorization: Bearer`"


class WriteKey:
    """The one key for writing; without one every write may go on to Qdrant."""

    def __init__(self, key: str | None = None, engine_environment: Mapping[str, str] | None = None) -> None:
        is_only = not {name.upper() for name in engine_environment or ()} & _OTHER_KEYS
        self._key = key.encode() if key is not None and is_only else None

    def is_missing(self, headers: Iterable[tuple[str, str | bytes]]) -> bool:
        """Tell whether no header of a request (or entry of a call's metadata) holds it."""
        return self._key is not None and not any(hmac.compare_digest(sent, self._key) for sent in _sent(headers))


def _sent(headers: Iterable[tuple[str, str | bytes]]) -> Iterable[bytes]:
    for name, value in headers:
        text = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        match name.lower():
            case "api-key":
                yield text.strip()
            case "authorization":
                scheme, _, token = text.strip().partition(b" ")
                if scheme.lower() == b"bearer":
                    yield token.strip()
