"""Doing again what the journal holds beyond a backup.

Owns the way from journal objects to an engine that holds what was acknowledged: epoch by epoch, in order, collections
side by side, to the end or to a moment. Stops at what cannot be done again and says where. Decides nothing about who
may write.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Final

from runtime.edge.effects import Effect, Write
from runtime.errors import IntegrityError
from runtime.journal import opaques, requests
from runtime.journal.bodies import Bodies
from runtime.journal.opaques import Until
from runtime.journal.order import Entry, stretches
from runtime.journal.requests import Call
from runtime.journal.sends import Refusal, Sends
from runtime.journal.tail import Tail
from runtime.logs import get_logger
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.task_group import task_group

log = get_logger()

_COLLECTIONS_AT_ONCE: Final = 4


@dataclass(slots=True)
class Replayed:
    """What was done again so far."""

    records: int = 0
    records_done: int = 0
    bytes: int = 0
    seconds: float = 0.0
    position: JournalPosition | None = None
    last_at: int | None = None
    skipped: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float | None:
        """Records a second; None before any was done."""
        return self.records_done / self.seconds if self.records_done and self.seconds else None


class Replay:
    """Brings an engine from a backup to the end of the journal, or `until` a moment.

    `note` is told of every write that was done. `ended`: the moment was reached, nothing that follows belongs to it.
    Without `keeps_all` writes that no journal holds may be lost with the backups that hold them, none of which is
    intact: that is an ERROR in the log, and no reason to refuse.
    """

    def __init__(
        self,
        repository: Repository,
        lineage: str,
        reader: str,
        *,
        sender: Callable[[], AbstractAsyncContextManager[Sends]],
        note: Callable[[Write], None],
        skip: Collection[str] = (),
        until: Until | None = None,
        keeps_all: bool = True,
    ) -> None:
        self.progress = Replayed()
        self.ended = False
        self._sender = sender
        self._repository = repository
        self._lineage = lineage
        self._tail = Tail(repository, lineage, reader)
        self._note = note
        self._skip = frozenset(skip)
        self._until = until
        self._keeps_all = keeps_all

    async def run(self, base: Manifest | None, head: Head, position: JournalPosition | None = None) -> Replayed:
        """Do everything again that follows the backup `base`, or `position`, in the epochs before HEAD's, sealing each.

        Raises IntegrityError at what cannot be done again, EngineError, StoreError.
        """
        began = asyncio.get_running_loop().time()
        async with self._sender() as sender:
            for start in following(base, head, position):
                await self._epoch(self._tail.sealed(start), base, head, sender)
        self.progress.seconds += asyncio.get_running_loop().time() - began
        return self.progress

    async def read(self, base: Manifest | None, head: Head) -> Replayed:
        """Do again what there is beyond the backup `base`, HEAD's own epoch included; called again, what came since.

        Seals nothing: whoever writes goes on. Raises as `run`.
        """
        began = asyncio.get_running_loop().time()
        first = self.progress.position or beginning(base)
        async with self._sender() as sender:
            for start in epochs(first, head.epoch):
                if self.ended or not await self._whole_epoch(start, base, head, sender):
                    break
        self.progress.seconds += asyncio.get_running_loop().time() - began
        return self.progress

    async def _whole_epoch(self, start: JournalPosition, base: Manifest | None, head: Head, sender: Sends) -> bool:
        """Do an epoch up to its seal again; return False when it has none yet, and so nothing follows."""
        if self._ends_at(JournalPosition(start.epoch, start.n + 1)):
            return True
        if await self._epoch(self._tail.read(start), base, head, sender) or self.ended:
            return True
        if not await self._repository.journal_goes_on(start.epoch):
            return False
        # Sealed meanwhile: nobody opens an epoch before that.
        done = self.progress.position
        start = done if done is not None and done.epoch == start.epoch else start
        if await self._epoch(self._tail.read(start), base, head, sender) or self.ended:
            return True
        raise IntegrityError(
            f"epoch {start.epoch} of the journal in {self._repository} has no seal, but later ones go on",
            hint="It was written without a journal (`DURABILITY=snapshot`): only its backups tell what it held",
        )

    async def _epoch(
        self, objects: AsyncGenerator[JournalObject, None], base: Manifest | None, head: Head, sender: Sends
    ) -> bool:
        """Do what these objects of one epoch hold again; return whether the last one was its seal."""
        bodies = Bodies(self._repository, self._lineage)
        entries: list[Entry] = []
        sealed = False
        async with aclosing(objects):
            async for found in objects:
                sealed = found.kind == "seal"
                if sealed or (
                    found.opaque is not None and await self._opaque(found.position, found.opaque, base, head)
                ):
                    break
                entries += self._before_the_end(bodies.entries(found))
                if self.ended:
                    break
                self.progress.position = found.position
                if self._ends_at(JournalPosition(found.position.epoch, found.position.n + 1)):
                    break
        await self.apply(entries, bodies, sender)
        return sealed

    async def _opaque(self, at: JournalPosition, change: Opaque, base: Manifest | None, head: Head) -> bool:
        """Pass over a change that cannot be done again; return whether the moment is before it."""
        name = f"{at.epoch}/{at.n}"
        if name in self._skip:
            self._leave_out(name)
            return self.ended
        try:
            self.ended = await opaques.is_beyond(self._repository, at, change, base, head, self._until)
        except IntegrityError as lost:
            if self._keeps_all or change.what != opaques.UNJOURNALED:
                raise
            log.error("replay.unjournaled", message=f"What no journal holds is lost: {lost.message}", record=name)  # noqa: TRY400
        return self.ended

    def _ends_at(self, position: JournalPosition) -> bool:
        self.ended = self.ended or (self._until is not None and self._until.is_before(position))
        return self.ended

    def _before_the_end(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if self._until is not None:
            for place, entry in enumerate(entries):
                if self._until.is_beyond(entry):
                    self.ended = True
                    return entries[:place]
        return entries

    async def apply(self, entries: Sequence[Entry], bodies: Bodies, sender: Sends) -> None:
        """Do these entries of one epoch again. Raises IntegrityError, EngineError, StoreError."""
        kept = [entry for entry in entries if not self._is_skipped(entry)]
        self.progress.records += len(kept)
        if kept:
            self.progress.last_at = kept[-1].record.at
        for stretch in stretches(kept):
            limit = asyncio.Semaphore(_COLLECTIONS_AT_ONCE)

            async def one(some: Sequence[Entry], limit: asyncio.Semaphore = limit) -> None:
                async with limit:
                    await self._in_order(some, bodies, sender)

            async with task_group() as group:
                for some in stretch.values():
                    group.create_task(one(some))

    async def _in_order(self, entries: Sequence[Entry], bodies: Bodies, sender: Sends) -> None:
        """Do a collection's entries again, the bodies of the next request being read while one is sent."""
        batches = bodies.batches(entries, requests.MOST_JOINED, requests.MOST_JOINED_BYTES)
        reading = asyncio.create_task(anext(batches, None))
        try:
            while some := await reading:
                reading = asyncio.create_task(anext(batches, None))
                for call in requests.calls(some):
                    await self._send(call, sender)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await batches.aclose()

    async def _send(self, call: Call, sender: Sends) -> None:
        writes = [_write(entry) for entry in call.entries]
        try:
            await sender.send(call)
        except Refusal as refusal:
            if not call.may_fail:
                raise _refused(call, refusal) from refusal
            log.info(
                "replay.refused",
                message=f"Qdrant refuses again what it had refused, or had not applied yet ({refusal})",
                record=call.entries[0].name,
            )
        for write in writes:
            self._note(write)
        self.progress.records_done += len(call.entries)
        self.progress.bytes += len(call.body)

    def _is_skipped(self, entry: Entry) -> bool:
        if entry.name not in self._skip:
            return False
        self._leave_out(entry.name)
        return True

    def _leave_out(self, name: str) -> None:
        log.warning("replay.skipped", message=f"Left out, as told: record {name} of the journal", record=name)
        self.progress.skipped.append(name)


def beginning(base: Manifest | None) -> JournalPosition:
    """Return the position that a backup, or nothing, contains the journal up to."""
    return base.replay_from() if base else JournalPosition(1, -1)


def epochs(first: JournalPosition, last: int) -> list[JournalPosition]:
    """Return where to read on in each epoch from a position's to `last`."""
    return [JournalPosition(epoch, first.n if epoch == first.epoch else -1) for epoch in range(first.epoch, last + 1)]


def following(base: Manifest | None, head: Head, position: JournalPosition | None = None) -> list[JournalPosition]:
    """Return where to read on in each epoch between a backup, or a position beyond it, and HEAD's own."""
    return epochs(position or beginning(base), head.epoch - 1)


def _write(entry: Entry) -> Write:
    try:
        return Write(Effect(entry.record.effect), entry.record.collection)
    except ValueError:
        raise IntegrityError(
            f"record {entry.name} of the journal has an effect that this version does not know: {entry.record.effect}",
            hint="Use a newer image",
        ) from None


def _refused(call: Call, refusal: Refusal) -> IntegrityError:
    first, last = call.entries[0].name, call.entries[-1].name
    what = f"record {first}" if first == last else f"one of the records {first} to {last}"
    record = call.entries[0].record
    return IntegrityError(
        f"Qdrant now refuses {what} of the journal ({record.method} {record.path}) with {refusal}",
        hint="`journal show` tells what it is; `restore --skip RECORD` and `rollback --skip RECORD` leave it out",
    )
