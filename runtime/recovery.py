"""From a claimed lineage's backup to everything that was acknowledged, and into an epoch of one's own.

Owns the steps between claiming and opening the gate: seal what others wrote, do it again, begin the journal. With
`DURABILITY=snapshot` no journal is kept, but what one holds is done again all the same.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from runtime.edge.gate import Gate, Refused
from runtime.errors import IntegrityError, NotTheWriter
from runtime.journal.opaques import UNJOURNALED
from runtime.journal.recorder import JournalRecorder
from runtime.journal.replay import Replay, Replayed, following
from runtime.journal.sends import Sends
from runtime.journal.tail import Tail
from runtime.journal.writer import Journal
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository

log = get_logger()


class Recovery:
    """One instance's. `journal` and `recorder` are None where no journal is kept; `progress` is of the last replay."""

    def __init__(
        self,
        gate: Gate,
        lineage: Lineage,
        sender: Callable[[], AbstractAsyncContextManager[Sends]],
        journal: Journal | None = None,
        recorder: JournalRecorder | None = None,
    ) -> None:
        self.journal = journal
        self.progress: Replayed | None = None
        self._gate = gate
        self._lineage = lineage
        self._sender = sender
        self._recorder = recorder

    async def catch_up(
        self, base: Manifest | None, position: JournalPosition | None = None, *, fell_back: bool = False
    ) -> None:
        """Do again what was acknowledged and is not in `base`, which the engine holds; then open this epoch.

        `position`: up to where the engine holds the journal too, if it followed it. `fell_back`: no newer backup is
        intact.

        Raises IntegrityError at what cannot be done again, EngineError, StoreError, NotTheWriter.
        """
        state, epoch = self._lineage.seen, self._lineage.epoch
        if state is None or epoch is None:
            raise NotTheWriter("another instance took over before this one was ready")
        replay = Replay(
            self._lineage.repository,
            state.head.lineage,
            self._lineage.instance,
            sender=self._sender,
            note=self._gate.note,
            keeps_all=self.journal is not None or not fell_back,
        )
        self.progress = replay.progress
        await replay.run(base, state.head, position)
        if replay.progress.records:
            log.info(
                "replay.finished",
                message=f"Replayed {replay.progress.records} writes from the journal",
                records=replay.progress.records,
                bytes=replay.progress.bytes,
                milliseconds=round(replay.progress.seconds * 1000),
            )
        if self._lineage.epoch != epoch:
            raise NotTheWriter("another instance took over while the journal was replayed")
        await self._begin(base, state.head, epoch)

    async def leave_behind(self) -> None:
        """Seal what others wrote and do none of it again, as told; then open this epoch.

        What is done in it is over no backup that there is: save before any write.
        """
        state, epoch = self._lineage.seen, self._lineage.epoch
        if state is None or epoch is None:
            raise NotTheWriter("another instance took over before this one was ready")
        repository = self._lineage.repository
        tail = Tail(repository, state.head.lineage, self._lineage.instance)
        for start in following(await newest_readable(repository, state.head), state.head):
            async for _ in tail.sealed(start):
                pass
        await self._begin(None, state.head, epoch)

    def stop_settling(self) -> bool:
        """Leave it to the last backup to hold a write without an answer; tell whether there is one."""
        if self._recorder is None or not self._recorder.settling.is_under_way:
            return False
        self._recorder.settling.stop()
        return True

    def abandon(self) -> None:
        """Record nothing more: this instance is the writer no longer."""
        if self.journal is not None:
            self.journal.abandon()
        if self._recorder is not None:
            self._recorder.forget()

    async def _begin(self, base: Manifest | None, head: Head, epoch: int) -> None:
        """Open the journal; where a journal begins or ends, say what can be done again over which backup alone."""
        if self.journal is None:
            await say_that_no_journal_tells(self._lineage.repository, head, epoch, self._lineage.instance)
            return
        if self._recorder is not None:
            await self._recorder.begin()
        self.journal.begin(head.lineage, epoch, self._lineage.instance)
        if base is not None and base.journal is None:
            change = Opaque("the first journal over a backup", base.seq, exact=True)
            try:
                await self.journal.durable(self.journal.append_opaque(change))
            except Refused as refused:
                raise NotTheWriter(f"the journal could not be begun: {refused.reason}") from refused


async def newest_readable(repository: Repository, head: Head) -> Manifest | None:
    """Return the newest backup whose manifest can be read. Raises IntegrityError when there is none that can."""
    if head.manifest is None:
        return None
    for name in committed(await repository.manifest_names(), head):
        with contextlib.suppress(IntegrityError):
            return await repository.manifest(name)
    raise IntegrityError(f"no manifest in {repository} can be read", hint="`python -m runtime repair`")


async def say_that_no_journal_tells(repository: Repository, head: Head, epoch: int, writer: str) -> None:
    """Put into an epoch's journal that only a backup tells what is done in the epoch. Raises StoreError."""
    change = Opaque(UNJOURNALED, head.seq)
    await repository.append_journal(
        JournalObject(JournalPosition(epoch, 0), head.lineage, "opaque", writer, opaque=change)
    )
