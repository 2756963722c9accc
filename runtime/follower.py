"""Keeping up with a writer elsewhere: what its journal holds is done in the local engine too.

Owns how far that goes and when it cannot go on. What is shown is always a beginning of the history that counts: only
objects without a gap before them are done, and whoever seals an epoch does it behind them. Never writes to the bucket.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from runtime.edge.effects import Write
from runtime.errors import EngineError, ObjectMissing
from runtime.journal.bodies import Bodies
from runtime.journal.opaques import holding
from runtime.journal.order import Entry
from runtime.journal.replay import Replay
from runtime.journal.sends import Sends
from runtime.journal.tail import Tail
from runtime.replica import Replica
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository


class CannotFollow(Exception):
    """The journal does not lead from where the engine is to where the lineage is: only a backup does."""


class Follower:
    """Follows one lineage with one replica. `level_at`: when it last was at the journal's end, by the loop's clock."""

    def __init__(
        self,
        repository: Repository,
        replica: Replica,
        name: str,
        *,
        sender: Callable[[], AbstractAsyncContextManager[Sends]],
        note: Callable[[Write], None],
    ) -> None:
        self.level_at: float | None = None
        self.records = 0
        self._repository = repository
        self._replica = replica
        self._name = name
        self._sender = sender
        self._note = note

    async def step(self, head: Head) -> None:
        """Do what there is. Raises CannotFollow, IntegrityError, EngineError, StoreError."""
        if (position := self._replica.position) is None:
            return  # only a backup leads on; until then it falls behind
        replay = Replay(self._repository, head.lineage, self._name, sender=self._sender, note=self._note)
        bodies = Bodies(self._repository, head.lineage)
        began = asyncio.get_running_loop().time()
        if not await self._is_there_more(head, position):
            self.level_at = began
            return
        try:
            async with self._sender() as sender:
                async for found in self._objects(head):
                    if found.kind == "records":
                        await self._apply(replay, bodies.entries(found), bodies, sender)
                    elif found.opaque is not None and not await self._passes(found.position, found.opaque, head):
                        return
                    at = found.position
                    self._replica.advanced(JournalPosition(at.epoch + 1, -1) if found.kind == "seal" else at)
        except EngineError:
            self._replica.opened_for_writes()  # nobody knows whether its limits are as they were
            raise
        self.level_at = began

    async def leads_to(self, newest: Manifest) -> bool:
        """Whether the journal leads from where the engine is to a backup: it contains it, or is on its way to it."""
        position = self._replica.position
        if newest.journal is None or position is None:
            return False
        if position >= newest.journal:
            return True
        if await self._ends_opaque(newest, newest.journal):
            return False  # what only that backup holds: see `_passes`
        return self.level_at is None or not await self._is_stuck(position)

    async def _ends_opaque(self, newest: Manifest, position: JournalPosition) -> bool:
        if position.n < 0:
            return False
        try:
            return (await self._repository.journal_object(newest.lineage, position)).opaque is not None
        except ObjectMissing:
            return True

    async def _is_stuck(self, position: JournalPosition) -> bool:
        async for number in self._repository.journal_after(position):
            return number != position.n + 1
        return True

    async def _apply(self, replay: Replay, entries: list[Entry], bodies: Bodies, sender: Sends) -> None:
        try:
            await replay.apply(entries, bodies, sender)
        except BaseException:
            # A part of it may be done, and doing it twice may not come to the same.
            self._replica.opened_for_writes()
            raise
        self.records += len(entries)

    async def _is_there_more(self, head: Head, position: JournalPosition) -> bool:
        """Ask for the next object by its name: cheaper than a listing, and nearly always the only question."""
        try:
            await self._repository.journal_object(head.lineage, JournalPosition(position.epoch, position.n + 1))
        except ObjectMissing:
            return False
        return True

    async def _objects(self, head: Head) -> AsyncIterator[JournalObject]:
        """Yield what comes next, epoch after epoch, as long as each is taken."""
        tail = Tail(self._repository, head.lineage, self._name)
        while (position := self._replica.position) is not None:
            async for found in tail.follow(position):
                yield found
                if self._replica.position != found.position:
                    break
            if self._replica.position == position:
                return

    async def _passes(self, at: JournalPosition, change: Opaque, head: Head) -> bool:
        """Tell whether a change that cannot be done again was never made; False: that is not decided yet.

        Raises CannotFollow when it was, or when what follows belongs to another backup.
        """
        placed = self._replica.placed.choice.manifest if self._replica.placed else None
        if change.exact:
            if self._replica.followed or placed is None or placed.seq != change.seq:
                raise CannotFollow
            return True
        if await holding(self._repository, at.epoch, change.seq, head):
            raise CannotFollow
        last = [number async for number in self._repository.journal_after(at)][-1:]
        if not last:
            return False
        found = await self._repository.journal_object(head.lineage, JournalPosition(at.epoch, last[0]))
        if found.kind != "seal":
            return False
        # HEAD as it is behind the seal: a backup that holds the change may have been committed since it was last read.
        now = await self._repository.head()
        if now is None or await holding(self._repository, at.epoch, change.seq, now.head):
            raise CannotFollow
        return True
