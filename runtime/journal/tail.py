"""Reading what follows a position of the journal, and closing it for whoever wrote it.

Owns which objects of an epoch count: those without a gap up to the seal, which is put at the first place that is
empty. What is behind it was never acknowledged. Owns telling such an end from a hole in what had been there. Replays
nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import replace

from runtime.errors import AlreadyExists, IntegrityError, StoreError
from runtime.journal.writer import MOST_UNDER_WAY
from runtime.repository.journal_object import JournalObject, JournalPosition
from runtime.repository.repository import Repository

_READ_AHEAD = 8
_WAYS_OUT = (
    "Restore it from the bucket's soft delete if it was not pruned; "
    "`rollback --before {0.epoch}/{0.n}/0` keeps what came before it, `rollback ID` needs no journal"
)
# A writer that does not know yet that it is none puts objects there while its seal is being put: a few at a time.
_MOST_RACES = 1000


class Tail:
    """One lineage's journal, read by `reader`, an instance that claimed it."""

    def __init__(self, repository: Repository, lineage: str, reader: str) -> None:
        self._repository = repository
        self._lineage = lineage
        self._reader = reader

    async def sealed(self, position: JournalPosition) -> AsyncGenerator[JournalObject, None]:
        """Yield an epoch's objects beyond a position and seal it behind the last.

        Raises IntegrityError when something is missing or damaged, StoreError.
        """
        at = position.n + 1
        for _ in range(_MOST_RACES):
            async for entry in self._contiguous(position.epoch, at):
                if entry.kind == "seal":
                    await self._refuse_beyond(entry.position)
                    return
                yield entry
                at = entry.position.n + 1
            await self._refuse_hole(position.epoch, at)
            try:
                await self._repository.append_journal(
                    JournalObject(JournalPosition(position.epoch, at), self._lineage, "seal", self._reader)
                )
            except AlreadyExists:
                continue
            return
        raise self._unsealable(position.epoch)

    async def read(self, position: JournalPosition) -> AsyncGenerator[JournalObject, None]:
        """Yield what there is of an epoch beyond a position up to its seal, the seal included; seals nothing.

        Raises IntegrityError when something is missing or damaged, StoreError.
        """
        at = position.n + 1
        async for found in self._contiguous(position.epoch, at):
            if found.kind == "seal":
                await self._refuse_beyond(found.position)
                yield found
                return
            yield found
            at = found.position.n + 1
        await self._refuse_hole(position.epoch, at)

    async def close(self, epoch: int) -> None:
        """Seal an epoch behind whatever there is of it, readable or not. Raises StoreError."""
        for _ in range(_MOST_RACES):
            at = 0
            async for number in self._repository.journal_after(JournalPosition(epoch, -1)):
                at = number + 1
            try:
                await self._repository.append_journal(
                    JournalObject(JournalPosition(epoch, at), self._lineage, "seal", self._reader)
                )
            except AlreadyExists:
                continue
            return
        raise self._unsealable(epoch)

    async def follow(self, position: JournalPosition) -> AsyncIterator[JournalObject]:
        """Yield what there is of an epoch beyond a position right now, a seal included; seals nothing.

        Raises IntegrityError when something is damaged, StoreError.
        """
        async for entry in self._contiguous(position.epoch, position.n + 1):
            if entry.kind == "seal":
                await self._refuse_beyond(entry.position)
            yield entry

    async def _contiguous(self, epoch: int, start: int) -> AsyncIterator[JournalObject]:
        """Yield the objects from `start` up to the first place that is empty, read several at a time."""
        there = self._repository.journal_after(JournalPosition(epoch, start - 1))
        reading: deque[asyncio.Task[JournalObject]] = deque()
        at = start
        try:
            async for number in there:
                if number != at:
                    break
                at += 1
                position = JournalPosition(epoch, number)
                reading.append(asyncio.create_task(self._repository.journal_object(self._lineage, position)))
                if len(reading) == _READ_AHEAD:
                    yield await reading.popleft()
            while reading:
                yield await reading.popleft()
        finally:
            await _ended(reading)

    async def _refuse_hole(self, epoch: int, at: int) -> None:
        """Raise IntegrityError when the object at `at`, which is not there, must have been."""
        beyond: list[int] = []
        async for number in self._repository.journal_after(JournalPosition(epoch, at - 1)):
            if number == at:
                return  # its writer goes on: it came since
            beyond.append(number)
            if number >= at + MOST_UNDER_WAY:
                raise self._hole(epoch, at, beyond[0])
        for number in beyond:
            found = await self._repository.journal_object(self._lineage, JournalPosition(epoch, number))
            if found.kind == "seal":
                raise self._hole(epoch, at, beyond[0])

    async def _refuse_beyond(self, seal: JournalPosition) -> None:
        """Raise IntegrityError when there was something in a seal's place: an object that far behind it proves it."""
        async for number in self._repository.journal_after(replace(seal, n=seal.n + MOST_UNDER_WAY - 1)):
            raise IntegrityError(
                f"object {seal.epoch}/{seal.n} of the journal in {self._repository} is a seal, {seal.epoch}/{number} "
                "is there: another object was in its place once",
                hint=_WAYS_OUT.format(seal),
            )

    def _hole(self, epoch: int, at: int, beyond: int) -> IntegrityError:
        return IntegrityError(
            f"object {epoch}/{at} of the journal in {self._repository} is missing, {epoch}/{beyond} is there",
            hint=_WAYS_OUT.format(JournalPosition(epoch, at)),
        )

    def _unsealable(self, epoch: int) -> StoreError:
        return StoreError(
            f"epoch {epoch} of the journal in {self._repository} could not be sealed: its writer goes on",
            hint="Stop the instance that still writes, then start again",
        )


async def _ended(tasks: Iterable[asyncio.Task[JournalObject]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
