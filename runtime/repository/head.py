"""HEAD: who may commit, and what was committed last. The only object that is ever overwritten.

Owns its form. How it changes is `runtime.lineage`'s.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runtime.errors import IntegrityError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Request:
    """An instance asks the writer to hand over: because it starts, or because it was sent a write."""

    instance: str
    reason: Literal["start", "write"]


@dataclass(frozen=True, slots=True)
class Head:
    """The lineage's state. `manifest` is an object name, None before the first backup; `clean`: its writer let go."""

    lineage: str
    epoch: int
    holder: str
    seq: int
    manifest: str | None
    manifest_sha256: str | None
    clean: bool
    requested_by: Request | None

    def encode(self) -> bytes:
        """Return the object's content: the same head always gives the same bytes."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> "Head":
        """Read the object's content. Raises IntegrityError when it is not one."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise IntegrityError("HEAD has a format that this version does not know", hint="Use a newer image")
            request = fields.pop("requested_by")
            head = cls(**fields, requested_by=Request(**request) if request else None)
            whole = head.epoch > 0 and head.seq >= 0 and (head.manifest is None) == (head.manifest_sha256 is None)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"HEAD is damaged: {error}", hint="`python -m runtime repair` rebuilds it") from error
        if not whole:
            raise IntegrityError(
                "HEAD is damaged: its fields contradict", hint="`python -m runtime repair` rebuilds it"
            )
        return head
