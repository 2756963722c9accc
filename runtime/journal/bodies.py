"""The bodies of records that are to be done again, in bounded memory.

Owns what is held and what is read again from the bucket. Decides no order.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from sys import intern
from typing import Final

from runtime.journal.order import Entry
from runtime.repository.journal_object import JournalObject, JournalPosition, Record
from runtime.repository.repository import Repository

_MOST_HELD: Final = 64 * 1024 * 1024


class Bodies:
    """What was read of one lineage's journal: the first objects' bodies, the others' places."""

    def __init__(self, repository: Repository, lineage: str, *, most_held: int = _MOST_HELD) -> None:
        self._repository = repository
        self._lineage = lineage
        self._most = most_held
        self._held: OrderedDict[JournalPosition, Sequence[Record]] = OrderedDict()
        self._size = 0

    def entries(self, found: JournalObject) -> list[Entry]:
        """Take an object's records in; return their entries, without the bodies."""
        if not self._held or self._size + _size(found.records) <= self._most:
            self._hold(found)  # else those that came before, which are done first, would be read twice
        return [
            Entry(
                found.position, index, replace(record, body=b"", path=intern(record.path), effect=intern(record.effect))
            )
            for index, record in enumerate(found.records)
        ]

    async def batches(
        self, entries: Iterable[Entry], most: int, most_bytes: int
    ) -> AsyncGenerator[list[tuple[Entry, bytes]], None]:
        """Yield entries with their bodies, in order: so many at a time, of so many bytes, but always one."""
        some: list[tuple[Entry, bytes]] = []
        size = 0
        for entry in entries:
            body = await self.of(entry)
            if some and (len(some) == most or size + len(body) > most_bytes):
                yield some
                some, size = [], 0
            some.append((entry, body))
            size += len(body)
        if some:
            yield some

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
