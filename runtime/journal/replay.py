"""Doing again what the journal holds beyond a backup.

Owns the way from journal objects to an engine that holds what was acknowledged: epoch by epoch, in order, collections
side by side. Stops at what cannot be done again and says where. Decides nothing about who may write.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from runtime.edge.effects import Effect, Write
from runtime.errors import IntegrityError
from runtime.journal import requests
from runtime.journal.bodies import Bodies
from runtime.journal.order import Entry, stretches
from runtime.journal.requests import Call
from runtime.journal.sender import Refusal, Sends
from runtime.journal.tail import Tail
from runtime.logs import get_logger
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition, Opaque
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository

log = get_logger()

_COLLECTIONS_AT_ONCE: Final = 4
# So many bodies are held beside those of the newest objects.
_ENTRIES_AT_ONCE: Final = 512


@dataclass(slots=True)
class Replayed:
    """What was done again so far."""

    records: int = 0
    records_done: int = 0
    bytes: int = 0
    seconds: float = 0.0
    position: JournalPosition | None = None


class Replay:
    """Brings an engine from a backup to the end of the journal. `note` is told of every write that was done."""

    def __init__(
        self,
        repository: Repository,
        lineage: str,
        reader: str,
        *,
        sender: Callable[[], AbstractAsyncContextManager[Sends]],
        note: Callable[[Write], None],
        skip: Collection[str] = (),
    ) -> None:
        self.progress = Replayed()
        self._sender = sender
        self._repository = repository
        self._lineage = lineage
        self._tail = Tail(repository, lineage, reader)
        self._note = note
        self._skip = frozenset(skip)

    async def run(self, base: Manifest | None, head: Head, position: JournalPosition | None = None) -> Replayed:
        """Do everything again that follows the backup `base`, or `position`, in the epochs before HEAD's, sealing each.

        Raises IntegrityError at what cannot be done again, EngineError, StoreError.
        """
        began = asyncio.get_running_loop().time()
        async with self._sender() as sender:
            for start in following(base, head, position):
                await self._epoch(start, base, head, sender)
        self.progress.seconds = asyncio.get_running_loop().time() - began
        return self.progress

    async def _epoch(self, start: JournalPosition, base: Manifest | None, head: Head, sender: Sends) -> None:
        bodies = Bodies(self._repository, self._lineage)
        entries: list[Entry] = []
        async for found in self._tail.sealed(start):
            if found.opaque is not None:
                await self._pass(found.position, found.opaque, base.seq if base else 0, head)
            entries += bodies.entries(found)
            self.progress.position = found.position
        await self.apply(entries, bodies, sender)

    async def apply(self, entries: Sequence[Entry], bodies: Bodies, sender: Sends) -> None:
        """Do these entries of one epoch again. Raises IntegrityError, EngineError, StoreError."""
        kept = [entry for entry in entries if not self._is_skipped(entry)]
        self.progress.records += len(kept)
        for stretch in stretches(kept):
            limit = asyncio.Semaphore(_COLLECTIONS_AT_ONCE)

            async def one(some: Sequence[Entry], limit: asyncio.Semaphore = limit) -> None:
                async with limit:
                    await self._in_order(some, bodies, sender)

            try:
                async with asyncio.TaskGroup() as group:
                    for some in stretch.values():
                        group.create_task(one(some))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from failures

    async def _in_order(self, entries: Sequence[Entry], bodies: Bodies, sender: Sends) -> None:
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            some = entries[start : start + _ENTRIES_AT_ONCE]
            for call in requests.calls([(entry, await bodies.of(entry)) for entry in some]):
                await self._send(call, sender)

    async def _send(self, call: Call, sender: Sends) -> None:
        try:
            await sender.send(call)
        except Refusal as refusal:
            if not call.may_fail:
                raise _refused(call, refusal) from refusal
            log.info(
                "replay.refused",
                message=f"Qdrant refuses again what it had refused, or had not applied yet: {refusal}",
                record=call.entries[0].name,
            )
        for entry in call.entries:
            self._note(Write(Effect(entry.record.effect), entry.record.collection))
        self.progress.records_done += len(call.entries)
        self.progress.bytes += len(call.body)

    async def _pass(self, at: JournalPosition, change: Opaque, base_seq: int, head: Head) -> None:
        """Pass over what no backup holds; raise IntegrityError at what one does: doing the rest would be wrong."""
        name = f"{at.epoch}/{at.n}"
        if name in self._skip:
            return
        if change.exact and base_seq != change.seq:
            raise IntegrityError(
                f"the journal from {name} on belongs to backup number {change.seq}, not to {base_seq}",
                hint="`rollback ID` goes back to an older backup without it",
            )
        newer = None if change.exact else await holding(self._repository, at.epoch, change.seq, head)
        if newer is not None:
            raise IntegrityError(
                f"the journal cannot do {change.what!r} again ({name}), which is newer than the backup to restore",
                hint=f"The backups from {newer} on hold it; `rollback ID` goes back to an older one without it",
            )

    def _is_skipped(self, entry: Entry) -> bool:
        if entry.name not in self._skip:
            return False
        log.warning("replay.skipped", message=f"Left out, as told: record {entry.name}", record=entry.name)
        return True


async def holding(repository: Repository, epoch: int, seq: int, head: Head) -> str | None:
    """Return the id of the first of an epoch's committed backups beyond a number; None when there was none.

    Numbers have no gaps: the next one says in which epoch it was taken. When it is not there any more that cannot be
    told, and the oldest one after it is returned.
    """
    identifiers = [names.manifest_id(name) or "" for name in committed(await repository.manifest_names(), head)]
    beyond = [found for found in identifiers if names.order(found)[1] > seq]
    if not beyond:
        return None
    first, number = names.order(beyond[-1])
    return beyond[-1] if first == epoch or number > seq + 1 else None


def following(base: Manifest | None, head: Head, position: JournalPosition | None = None) -> list[JournalPosition]:
    """Return where to read on in each epoch between a backup, or a position beyond it, and HEAD's own."""
    first = position or (base.replay_from() if base else JournalPosition(1, -1))
    return [JournalPosition(epoch, first.n if epoch == first.epoch else -1) for epoch in range(first.epoch, head.epoch)]


def _refused(call: Call, refusal: Refusal) -> IntegrityError:
    first, last = call.entries[0].name, call.entries[-1].name
    what = f"record {first}" if first == last else f"one of the records {first} to {last}"
    record = call.entries[0].record
    return IntegrityError(
        f"Qdrant now refuses {what} of the journal ({record.method} {record.path}): {refusal}",
        hint="`journal show` tells what it is; `restore --skip RECORD` and `rollback --skip RECORD` leave it out",
    )
