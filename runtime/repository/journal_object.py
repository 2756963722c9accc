"""The journal's objects: what is in one, and how it is written and read.

Owns the form. Every object says which lineage, epoch and number it is, so that one of another place is never taken
for it. Which objects there are and what they mean to a restore is `runtime.journal`'s.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import google_crc32c

from runtime.errors import IntegrityError
from runtime.repository.json_form import NULL, Form, parsed, typed

FORMAT: Final = 1

Kind: TypeAlias = Literal["records", "seal", "opaque"]
Turn: TypeAlias = Literal["shared", "collection", "everything"]

# The year 10000, in milliseconds.
_END_OF_TIME: Final = 253_402_300_800_000
_FRAME: Final = struct.Struct(">II")
_SUM: Final = struct.Struct(">I")
_HEADER: Final[Form] = {
    "format": (int,),
    "lineage": (str,),
    "epoch": (int,),
    "n": (int,),
    "kind": (str,),
    "writer": (str,),
    "records": (int,),
    "opaque": (dict, NULL),
}
_OPAQUE: Final[Form] = {"what": (str,), "seq": (int,), "exact": (bool,)}
_RECORD: Final[Form] = {
    "collection": (str, NULL),
    "effect": (str,),
    "turn": (str,),
    "transport": (str,),
    "method": (str,),
    "path": (str,),
    "ids": (list,),
    "applied": (bool,),
    "at": (int,),
}


@dataclass(frozen=True, slots=True, order=True)
class JournalPosition:
    """Object `n` of an epoch's journal; -1: none of it yet."""

    epoch: int
    n: int


@dataclass(frozen=True, slots=True)
class Record:
    """One write that Qdrant applied: what was sent, and what Qdrant's answer said of its place in the order.

    `turn` is how it went to the engine: beside others of its collection (`shared`), alone in its `collection`, or alone
    of `everything`. `transport` is `rest` (`path` with its query as sent) or `rpc` (`path` is the full method). `ids`
    are Qdrant's operation ids. `applied`: Qdrant said `completed`; otherwise it was only acknowledged, or refused with
    a part of it maybe applied, and may be refused again. `at`: milliseconds since 1970 by the writer's clock.
    """

    collection: str | None
    effect: str
    turn: Turn
    transport: str
    method: str
    path: str
    ids: tuple[int, ...]
    applied: bool
    at: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Opaque:
    """A change that the journal cannot do again.

    `seq`: HEAD's number when it was made, so a backup of this epoch with a higher one holds it. `exact`: what follows
    can be done again over the backup of that very number alone.
    """

    what: str
    seq: int
    exact: bool = False


@dataclass(frozen=True, slots=True)
class JournalObject:
    """One object as it is read. `records` is empty but for `kind` `records`."""

    position: JournalPosition
    lineage: str
    kind: Kind
    writer: str
    records: Sequence[Record] = ()
    opaque: Opaque | None = None

    def encode(self) -> bytes:
        """Return the object's content: a header, then a frame a record, each with its CRC32C."""
        header = {
            "format": FORMAT,
            "lineage": self.lineage,
            "epoch": self.position.epoch,
            "n": self.position.n,
            "kind": self.kind,
            "writer": self.writer,
            "records": len(self.records),
            "opaque": None if self.opaque is None else asdict(self.opaque),
        }
        return b"".join((*_frame(header, b""), *_frames(self.records)))

    @classmethod
    def decode(cls, data: bytes, *, lineage: str, position: JournalPosition) -> "JournalObject":
        """Read the object that should be at `position`. Raises IntegrityError when it is not that, whole."""
        what = f"journal object {position.epoch}/{position.n}"
        hint = (
            f"The bucket's soft delete may hold the right one; `rollback --before {position.epoch}/{position.n}/0` "
            "keeps what came before it, `rollback ID` needs no journal"
        )
        try:
            found = cls._decode(data, what)
        except (ValueError, TypeError, KeyError, struct.error) as error:
            raise IntegrityError(f"{what} is damaged: {error}", hint=hint) from error
        if found.position != position:
            raise IntegrityError(f"{what} is damaged: it is the object of another position", hint=hint)
        if found.lineage != lineage:
            raise IntegrityError(
                f"{what} belongs to another lineage: somebody copied it there, and a journal is never mixed", hint=hint
            )
        return found

    @classmethod
    def _decode(cls, data: bytes, what: str) -> "JournalObject":
        header, _, at = _read_frame(data, 0)
        typed(header, _HEADER, what)
        if header["format"] != FORMAT:
            raise IntegrityError(f"{what} has a format that this version does not know", hint="Use a newer image")
        opaque = header["opaque"]
        if header["kind"] not in get_args(Kind) or (header["kind"] == "opaque") != (opaque is not None):
            raise ValueError("its kind is none that this version knows")
        if header["records"] and header["kind"] != "records":
            raise ValueError(f"it is of kind {header['kind']} and holds records")
        if opaque is not None:
            typed(opaque, _OPAQUE, "its opaque change")
        records = []
        for _ in range(header["records"]):
            fields, body, at = _read_frame(data, at)
            records.append(_record(fields, body))
        if at != len(data):
            raise ValueError("it goes on after its end")
        return cls(
            JournalPosition(header["epoch"], header["n"]),
            header["lineage"],
            header["kind"],
            header["writer"],
            tuple(records),
            Opaque(**opaque) if opaque else None,
        )


def _record(fields: dict[str, Any], body: bytes) -> Record:
    typed(fields, _RECORD, "a record")
    if fields["turn"] not in get_args(Turn) or fields["transport"] not in {"rest", "rpc"}:
        raise ValueError("a record says what this version does not know")
    if not fields["path"].startswith("/"):  # it is appended to Qdrant's address, where a key goes along
        raise ValueError("a record's path is none")
    if not 0 <= fields["at"] < _END_OF_TIME or any(type(number) is not int for number in fields["ids"]):
        raise ValueError("a record says what cannot be")
    return Record(**{**fields, "ids": tuple(fields["ids"])}, body=body)


def _frames(records: Iterable[Record]) -> Iterable[bytes]:
    for record in records:
        fields = {
            "collection": record.collection,
            "effect": record.effect,
            "turn": record.turn,
            "transport": record.transport,
            "method": record.method,
            "path": record.path,
            "ids": record.ids,
            "applied": record.applied,
            "at": record.at,
        }
        yield from _frame(fields, record.body)


def _frame(fields: dict[str, Any], body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    text = json.dumps(fields, separators=(",", ":")).encode()
    lengths = _FRAME.pack(len(text), len(body))
    checksum = google_crc32c.extend(google_crc32c.value(lengths + text), body)
    return lengths, text, body, _SUM.pack(checksum)


def _read_frame(data: bytes, at: int) -> tuple[dict[str, Any], bytes, int]:
    meta, size = _FRAME.unpack_from(data, at)
    start = at + _FRAME.size
    end = start + meta + size
    (checksum,) = _SUM.unpack_from(data, end)
    if google_crc32c.value(data[at:end]) != checksum:
        raise ValueError("a checksum is wrong")
    return parsed(data[start : start + meta]), data[start + meta : end], end + _SUM.size
