"""HEAD: who may commit, and what was committed last. The only object that is ever overwritten.

Owns its form. How it changes is `runtime.lineage`'s.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from runtime.errors import IntegrityError
from runtime.repository import names
from runtime.repository.json_form import NULL, Form, parsed, typed

FORMAT = 1

Reason: TypeAlias = Literal["start", "write"]

_HEAD: Final[Form] = {
    "lineage": (str,),
    "epoch": (int,),
    "holder": (str,),
    "seq": (int,),
    "manifest": (str, NULL),
    "manifest_sha256": (str, NULL),
    "clean": (bool,),
    "requested_by": (dict, NULL),
}
_REQUEST: Final[Form] = {"instance": (str,), "reason": (str,)}


@dataclass(frozen=True, slots=True)
class Request:
    """An instance asks the writer to hand over: because it starts, or because it was sent a write."""

    instance: str
    reason: Reason


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
            fields: dict[str, Any] = parsed(data)
            if fields.pop("format") != FORMAT:
                raise IntegrityError("HEAD has a format that this version does not know", hint="Use a newer image")
            _check(fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"HEAD is damaged: {error}", hint="`python -m runtime repair` rebuilds it") from error
        request = fields.pop("requested_by")
        return cls(**fields, requested_by=Request(**request) if request else None)


def _check(fields: dict[str, Any]) -> None:
    """Raise ValueError unless these are the fields of a HEAD that agree with each other."""
    typed(fields, _HEAD, "it")
    if fields["requested_by"] is not None:
        typed(fields["requested_by"], _REQUEST, "its request")
        if fields["requested_by"]["reason"] not in get_args(Reason):
            raise ValueError("its request has no reason that this version knows")
    if fields["epoch"] < 1 or fields["seq"] < 0 or (fields["manifest"] is None) != (fields["manifest_sha256"] is None):
        raise ValueError("its fields contradict each other")
    if fields["manifest"] is not None:
        identifier = names.manifest_id(fields["manifest"])
        epoch, seq = names.order(identifier) if identifier else (0, -1)
        if seq != fields["seq"] or epoch > fields["epoch"]:
            raise ValueError("it names what is not the manifest of its number")
