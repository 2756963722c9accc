"""The bodies of records that are to be done again, in bounded memory.

Owns what is held and what is read again from the bucket. Decides no order.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from sys import intern
from typing import Final

from runtime.journal.order import Entry
from runtime.repository.journal_object import JournalObject, JournalPosition, Record
from runtime.repository.repository import Repository

_MOST_HELD: Final = 64 * 1024 * 1024


class Bodies:
    """What was read of one lineage's journal: the newest objects' bodies, the others' places."""

    def __init__(self, repository: Repository, lineage: str, *, most_held: int = _MOST_HELD) -> None:
        self._repository = repository
        self._lineage = lineage
        self._most = most_held
        self._held: OrderedDict[JournalPosition, Sequence[Record]] = OrderedDict()
        self._size = 0

    def entries(self, found: JournalObject) -> list[Entry]:
        """Take an object's records in; return their entries, without the bodies."""
        self._hold(found)
        return [
            Entry(
                found.position, index, replace(record, body=b"", path=intern(record.path), effect=intern(record.effect))
            )
            for index, record in enumerate(found.records)
        ]

    async def of(self, entry: Entry) -> bytes:
        """Return an entry's body. Raises IntegrityError, StoreError."""
        records = self._held.get(entry.position)
        if records is None:
            found = await self._repository.journal_object(self._lineage, entry.position)
            self._hold(found)
            records = found.records
        return records[entry.index].body

    def _hold(self, found: JournalObject) -> None:
        self._held[found.position] = found.records
        self._size += _size(found.records)
        while self._size > self._most and len(self._held) > 1:
            _, records = self._held.popitem(last=False)
            self._size -= _size(records)


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.body) for record in records)
