"""What the journal holds, for people and programs that ask for it.

Owns what is told of a record: who wrote what when, never what was in it unless asked. Reads only; what is damaged is
told as such, since this is what somebody looks at then.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from runtime.edge.rpc_routes import wire_values
from runtime.errors import IntegrityError, ObjectMissing
from runtime.moment import as_text
from runtime.repository import names
from runtime.repository.journal_object import JournalObject, JournalPosition, Record
from runtime.repository.repository import Repository

_READS_AT_ONCE: Final = 16
# Where the things that a write names are: in JSON, and as a field of the message that most writes by gRPC are.
_COUNTED: Final = ("points", "operations", "actions", "vectors")
_UPSERTED: Final = {"/qdrant.Points/Upsert": 3}


async def listed(repository: Repository, lineage: str, *, bodies: bool) -> AsyncIterator[dict[str, Any]]:
    """Yield every record, oldest first, and between them seals and changes that only a backup holds.

    What is behind a seal never counted and is left out.
    """
    sealed = 0
    some: list[JournalPosition] = []

    async def read() -> list[JournalObject | tuple[JournalPosition, str] | None]:
        found = await asyncio.gather(*(_read(repository, lineage, position) for position in some))
        some.clear()
        return found

    async for info in repository.objects(names.JOURNAL):
        if (position := names.journal_position(info.name)) is not None:
            some.append(JournalPosition(*position))
        if len(some) < _READS_AT_ONCE:
            continue
        for found in await read():
            for entry in _entries(found, sealed, bodies=bodies):
                sealed = entry.pop("seals", sealed)
                yield entry
    for found in await read():
        for entry in _entries(found, sealed, bodies=bodies):
            sealed = entry.pop("seals", sealed)
            yield entry


async def _read(
    repository: Repository, lineage: str, position: JournalPosition
) -> JournalObject | tuple[JournalPosition, str] | None:
    try:
        return await repository.journal_object(lineage, position)
    except ObjectMissing:
        return None  # pruned meanwhile
    except IntegrityError as error:
        return position, error.message


def _entries(
    found: JournalObject | tuple[JournalPosition, str] | None, sealed: int, *, bodies: bool
) -> list[dict[str, Any]]:
    if found is None:
        return []
    if isinstance(found, tuple):
        return [_note(found[0], "", f"DAMAGED: {found[1]}")]
    if found.position.epoch == sealed:
        return []
    if found.kind == "seal":
        entry = _note(found.position, found.writer, "sealed: what counts of this epoch ends here")
        return [{**entry, "seals": found.position.epoch}]
    if found.opaque is not None:
        return [_note(found.position, found.writer, f"in a backup alone: {found.opaque.what}")]
    at = f"{found.position.epoch}/{found.position.n}"
    return [
        {
            "name": f"{at}/{index}",
            "at": record.at,
            "time": as_text(record.at),
            "writer": found.writer,
            "collection": record.collection,
            "what": f"{record.method} {record.path}" if record.transport == "rest" else record.path,
            "effect": record.effect,
            "confirmed": record.applied,
            "operations": list(record.ids),
            "count": counted(record),
            "bytes": len(record.body),
            **({"body": record.body.decode("utf-8", "backslashreplace")} if bodies else {}),
        }
        for index, record in enumerate(found.records)
    ]


def _note(at: JournalPosition, writer: str, what: str) -> dict[str, Any]:
    return {
        "name": f"{at.epoch}/{at.n}",
        "at": None,
        "time": None,
        "writer": writer,
        "collection": None,
        "what": what,
        "operations": [],
        "count": None,
        "bytes": 0,
    }


def counted(record: Record) -> int | None:
    """Return how many points, operations or actions a write names; None when that is not told by a list."""
    if record.transport == "rpc":
        field = _UPSERTED.get(record.path)
        try:
            return None if field is None else sum(number == field for number, _ in wire_values(record.body))
        except IndexError:
            return None
    try:
        body = json.loads(record.body or b"{}")
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    if isinstance(body.get("batch"), dict):
        body = {"points": body["batch"].get("ids")}
    return next((len(body[key]) for key in _COUNTED if isinstance(body.get(key), list)), None)
