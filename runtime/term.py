"""A term as the writer, where it begins and where it ends: what the journal holds is done again, or closed.

Owns what happens between a claim and the open gate, and between the closed gate and HEAD let go. The writes between
are `runtime.writing`'s; who may have a term is `runtime.handover`'s.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from runtime.edge.gate import Gate, Refused, Written
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure, StoreError
from runtime.lineage import Lineage
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.journal_object import JournalPosition, Opaque
from runtime.writing import Saved, Writing

_LET_GO_SECONDS = 5.0


class Term:
    """One instance's, one after the other."""

    def __init__(
        self,
        gate: Gate,
        lineage: Lineage,
        replica: Replica,
        writing: Writing,
        recovery: Recovery,
        *,
        timeout_seconds: float,
    ) -> None:
        self._gate = gate
        self._lineage = lineage
        self._replica = replica
        self._writing = writing
        self._recovery = recovery
        self._timeout = timeout_seconds

    async def catch_up(self) -> Written:
        """Do again what the journal holds beyond what was placed; return what had been written before.

        The claim is given back when that fails. Raises IntegrityError, EngineError, StoreError, NotTheWriter.
        """
        position = self._replica.position if self._replica.followed else None
        try:
            async with self.signs_of_life():
                try:
                    return await self._replayed(position)
                except IntegrityError:
                    if position is None:
                        raise
                    # The journal does not lead on from where it was followed to: a backup does.
                    await self._place_again()
                    return await self._replayed(None)
        except RuntimeFailure:
            await self.let_go(seconds=_LET_GO_SECONDS)
            raise

    async def end(self, reason: str, *, drained: bool) -> Saved:
        """Save everything, record nothing more and let HEAD go. `drained`: no write is under way any more.

        What is still under way may be in the last backup: no journal knows of it.
        Raises Busy, NotTheWriter, StoreError, EngineError, IntegrityError.
        """
        journal = self._recovery.journal
        if journal is not None:
            if self._recovery.stop_settling() or not drained:
                async with self._writing.alone():
                    with contextlib.suppress(Refused):
                        journal.append_opaque(Opaque("writes without an answer", self._lineage.head_seq()))
            await journal.close(seconds=self._timeout / 2)
        return await self._writing.save(reason, clean=True, must=True)

    async def let_go(self, *, seconds: float) -> None:
        """Give back a lineage that was claimed and not written to: whoever is next need not wait for a dead writer."""
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lineage.release()
        self._lineage.stand_by()

    async def withdraw(self, *, seconds: float) -> None:
        """Take back a request for a term that is not wanted any more: nobody need wait for who will not come."""
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lineage.withdraw()

    @contextlib.asynccontextmanager
    async def signs_of_life(self) -> AsyncIterator[None]:
        """Touch HEAD while something takes its time, so that whoever waits does not take us for dead."""

        async def touch() -> None:
            while True:
                await asyncio.sleep(self._timeout / 5)
                with contextlib.suppress(StoreError, NotTheWriter):
                    await self._lineage.touch()

        task = asyncio.create_task(touch())
        try:
            yield
        finally:
            task.cancel()

    async def _replayed(self, position: JournalPosition | None) -> Written:
        written = self._gate.written()
        choice = self._replica.placed.choice if self._replica.placed else None
        self._replica.opened_for_writes()
        base, fell_back = (choice.manifest, bool(choice.skipped)) if choice else (None, False)
        await self._recovery.catch_up(base, position, fell_back=fell_back and position is None)
        return written

    async def _place_again(self) -> None:
        state = self._lineage.seen
        if state is None:
            raise NotTheWriter("HEAD is gone")
        await self._replica.place(state.head)
        await self._replica.start()
