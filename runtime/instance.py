"""One instance's part in the lineage, from restoring to standing by.

Owns the roles and the steps between them: boot, becoming the writer, yielding, following. Knows no signals and no
child processes' deaths: those are the supervisor's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from runtime import selection, stock_snapshots
from runtime.changes import Delta
from runtime.composition import Base
from runtime.edge.gate import Gate, Written
from runtime.errors import IntegrityError, RuntimeFailure, StoreError
from runtime.follower import Follower
from runtime.handover import Turn
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.promotion import Promotion
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.head import Request
from runtime.repository.repository import Superseded
from runtime.restored import Restored, restored
from runtime.selection import Choice, Start
from runtime.settings import Settings
from runtime.standby import Standby
from runtime.stock_snapshots import Target
from runtime.term import Term
from runtime.writing import Saved, Writing

log = get_logger()

_DRAIN_SECONDS = 5.0
# Writes that were with Qdrant when it died end by themselves, with an error.
_DEAD_ENGINE_DRAIN_SECONDS = 0.5
_FOLLOW_SECONDS = 0.5
_POLL_AFTER_OPENING_SECONDS = 0.2


class Role(StrEnum):
    """What this instance does right now."""

    RESTORING = "restoring"
    WRITER = "writer"
    STANDBY = "standby"
    DRAINING = "draining"


class Instance:
    """One instance: wires gate, lineage, replica and writing into roles. Made by `runtime.assembly`."""

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        gate: Gate,
        lineage: Lineage,
        replica: Replica,
        writing: Writing,
        recovery: Recovery,
        follower: Follower,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.gate = gate
        self.lineage = lineage
        self.replica = replica
        self.writing = writing
        self.recovery = recovery
        self.follower = follower
        self.role = Role.RESTORING
        self.restored: Restored | None = None
        self.fenced = False
        self.lost_writes = 0
        self.store_error: str | None = None
        self._settings = settings
        self._clock = clock
        self._opened_at = float("-inf")
        self._is_open = False
        self._term = Term(gate, lineage, replica, writing, recovery, timeout_seconds=settings.handover_timeout_seconds)
        self._promotion = Promotion(lineage, self._take_over)
        self.standby = Standby(
            lineage,
            replica,
            follower,
            is_reader=settings.instance_role == "reader",
            keeps_journal=recovery.journal is not None,
        )
        gate.acknowledge = self._acknowledge
        lineage.on_fenced = self._on_fenced
        if recovery.journal is not None:
            recovery.journal.on_sealed = lineage.fenced

    async def boot(self) -> None:
        """Restore, take over, open. Raises whatever must not be read as 'no backup'; nothing was claimed then."""
        log.info("boot.started", message="Starting Qdrant with snapshot restore...", instance=self.name)
        started = asyncio.get_running_loop().time()
        settings = self._settings
        if (aside := self.replica.set_aside()) is not None:
            log.warning("boot.set_aside", message=f"The storage directory was not empty: its content is now in {aside}")
        if settings.snapshot_on_start:
            stock_snapshots.prepare(settings.snapshot_dir)
        while True:
            start, state = await selection.start(
                self.lineage.repository,
                settings.restore_policy,
                production=settings.runtime_environment == "production",
            )
            turn = self._turn(restores=start is not Start.UNRESTORED)
            try:
                if start is Start.NEW_LINEAGE or state is None:
                    await self._start_new()
                elif settings.instance_role == "reader":
                    await self.replica.place(state.head)
                    await self.replica.start()
                    await self.lineage.look()  # so that it follows at once
                else:
                    if start is not Start.UNRESTORED:
                        await self.replica.place(state.head)
                    await turn.take("start")
            except Superseded:
                continue
            break
        took = asyncio.get_running_loop().time() - started
        self.restored = restored(start, self.replica.placed, forced=turn.forced, seconds=took)
        if settings.instance_role == "reader":
            await self._snapshots_on_start()
            self._stand_by()
        elif start is Start.UNRESTORED:
            self.replica.opened_for_writes()
            await self.recovery.leave_behind()
            self._open(self.gate.written(), leaves_behind=True)
            self.gate.refuse("nothing was restored, as told: that is being saved")
            await self.writing.save("start", must=True)
            self.gate.admit()
        else:
            written = await self._term.catch_up()
            await self._snapshots_on_start()
            self._open(written)

    async def _snapshots_on_start(self) -> None:
        if self._settings.snapshot_on_start:
            await self.snapshots("start")

    async def snapshots(self, reason: str) -> list[Target]:
        """Write Qdrant's own snapshots of the kept collections to QDRANT_SNAPSHOT_DIR. Raises ConfigError."""
        settings = self._settings
        return await stock_snapshots.write_snapshots(
            self.replica.engine.admin, settings.snapshot_dir, only=settings.collections, reason=reason
        )

    async def restart_engine(self) -> None:
        """Start Qdrant again after it died by itself, writes held meanwhile. Raises EngineError, IntegrityError."""
        async with self.gate.held(drain_seconds=_DEAD_ENGINE_DRAIN_SECONDS) as quiet:
            base = self.writing.base
            written = Delta.between(base.written, self.gate.written())
            # A write that has no answer yet may be in the engine already, and is not counted before it has one.
            await self.replica.restart(base.manifest, written if quiet else replace(written, everything=True))

    async def watch(self) -> None:
        """Keep an eye on HEAD for as long as the process lives: requests, other writers, newer backups."""
        poll = min(2.0, self._settings.handover_timeout_seconds / 5)
        while True:
            await asyncio.sleep(min(poll, _POLL_AFTER_OPENING_SECONDS) if self._opened_lately() else poll)
            try:
                await self._look()
            except (StoreError, IntegrityError) as error:
                if self.store_error is None:
                    log.error("store.failing", message=f"The bucket cannot be asked who writes: {error}")  # noqa: TRY400
                self.store_error = str(error)
            except RuntimeFailure as error:
                log.exception("handover.failed", message=f"A step of the hand-over failed, it is tried again: {error}")
            else:
                if self.store_error is not None:
                    log.info("store.back", message="The bucket answers again")
                self.store_error = None

    async def finish(self, *, seconds: float) -> None:
        """Stop taking writes and save what is unsaved, as far as the time allows. Never raises for what it cannot."""
        self.role = Role.DRAINING
        self.gate.refuse("the instance is shutting down", retry_after=1)
        self._promotion.cancel()
        if not self.lineage.is_writer:
            await self._term.withdraw(seconds=seconds)
            return
        if not self._is_open:
            await self._term.let_go(seconds=seconds)
            return
        self.writing.give_way()
        last = asyncio.create_task(self._save_last(drain_seconds=min(_DRAIN_SECONDS, seconds / 4)), name="last backup")
        await asyncio.wait({last}, timeout=seconds)
        last.cancel()  # and not waited for: an upload takes its time to give up
        last.add_done_callback(_ended)
        failure = last.exception() if last.done() else TimeoutError("out of time")
        if failure is None:
            manifest = last.result().manifest
            log.info("shutdown.saved", message="Everything acknowledged is saved", manifest=manifest)
            return
        unsaved = self.writing.unsaved_count
        if self.recovery.journal is not None:
            message = f"{unsaved} writes are in the journal and not in a backup: the next start does them again"
            log.warning("shutdown.journaled", message=message, unsaved=unsaved, exc_info=failure)
            return
        message = f"{unsaved} writes were not saved: {failure}"
        log.error("shutdown.unsaved", message=message, unsaved=unsaved, exc_info=failure)

    async def _save_last(self, *, drain_seconds: float) -> Saved:
        if not self.replica.engine.running:
            await self.restart_engine()
        drained = await self.gate.drained(seconds=drain_seconds)
        self.lineage.begin_yielding()  # a write that is still under way is not acknowledged any more
        return await self._term.end("shutdown", drained=drained)

    async def _look(self) -> None:
        state = await self.lineage.look_briefly()
        if self.lineage.is_writer:
            # Whoever asked may have gone, taking the request back: a hand-over that was begun is ended all the same.
            if self._is_open and (self.lineage.request is not None or self.lineage.is_yielding):
                await self._answer(self.lineage.request)
        elif state is not None and not self._promotion.is_under_way and self.standby.should_place(state.head):
            await self.standby.place(state.head)

    async def follow(self) -> None:
        """Keep up with another writer's journal for as long as the process lives and does not write itself."""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            state = self.lineage.seen
            stands_by = self.role is Role.STANDBY and not self._promotion.is_under_way
            if stands_by and state is not None and self.replica.engine.running:
                await self.standby.step(state.head)

    async def _answer(self, request: Request | None) -> None:
        """Yield to an instance that starts; to one that was sent a write only when we have had none for a while."""
        if not self.lineage.is_yielding and request is not None and request.reason == "write" and self._writes():
            await self.lineage.decline()
            log.info("handover.declined", message="Kept the lineage: this instance has writes itself")
            return
        to = request.instance if request else None
        log.info("handover.yielding", message="Handing over to another instance", to=to)
        self.lineage.begin_yielding()
        async with self._term.signs_of_life():
            drained = await self.gate.drained(seconds=_DRAIN_SECONDS)
            await self._term.end("handover", drained=drained)
        self.lineage.stand_by()
        if drained:
            self.replica.settled(self.writing.base.name, self.writing.base.manifest)
        self._stand_by()
        log.info("handover.yielded", message="Standing by: reads only", manifest=self.writing.base.name)

    async def _acknowledge(self) -> int:
        """Let a write through that this instance may acknowledge; become the writer for it if nobody needs to be.

        With a journal no look at HEAD is needed: a write is acknowledged when its record is in the bucket, and whoever
        takes over seals the journal first.
        """
        if self.role is Role.STANDBY and self._settings.instance_role == "auto":
            await self._promotion.wait()
        journal = self.recovery.journal
        if journal is None:
            return await self.lineage.acknowledge()
        journal.require_reachable()
        return self.lineage.writing_epoch()

    async def _take_over(self) -> None:
        async with self.standby.alone:
            await self._turn(restores=True).take("write")
            written = await self._term.catch_up()
        self._open(written)

    def _turn(self, *, restores: bool) -> Turn:
        return Turn(
            self.lineage,
            self.replica,
            timeout_seconds=self._settings.handover_timeout_seconds,
            clock=self._clock,
            restores=restores,
        )

    async def _start_new(self) -> None:
        log.info("restore.nothing", message="No snapshot found to restore", repository=str(self.lineage.repository))
        await self.replica.place_nothing()
        await self.replica.start()
        if self._settings.instance_role == "auto":
            await self.lineage.create()

    def _open(self, written: Written, *, leaves_behind: bool = False) -> None:
        choice = self.replica.placed.choice if self.replica.placed else Choice(None, None)
        # What was followed came to other files than the newest backup has, and what was placed may be pruned already.
        known = None if self.replica.followed else choice.manifest
        newest = self.lineage.seen.head.manifest if self.replica.followed and self.lineage.seen else choice.name
        self.writing.begin(Base(known, newest, written, leaves_behind), choice.skipped, self.recovery.progress)
        self._opened_at = asyncio.get_running_loop().time()
        self.fenced = False
        self._is_open = True
        self.role = Role.WRITER
        self.gate.admit()
        log.info("writer.opened", message="This instance is the writer", epoch=self.lineage.epoch)

    def _writes(self) -> bool:
        """Whether it had a write, or became the writer, a moment ago."""
        idle = asyncio.get_running_loop().time() - max(self.gate.last_write_at, self._opened_at)
        return idle < self._settings.handover_idle_seconds

    def _opened_lately(self) -> bool:
        """Whether it became the writer a moment ago: then the one before it may be asking already."""
        return asyncio.get_running_loop().time() - self._opened_at < self._settings.handover_idle_seconds

    def _stand_by(self) -> None:
        self.role = Role.STANDBY
        self._is_open = False
        self.recovery.abandon()
        self.gate.admit()  # each write then asks for the lineage first

    def _on_fenced(self) -> None:
        self.fenced = True
        # What the journal acknowledged is in the bucket, whoever writes now.
        lost = self.writing.unsaved_count if self.recovery.journal is None else 0
        self.lost_writes += lost
        log.error(
            "writer.fenced",
            message=f"Another instance took over; {lost} acknowledged writes were not saved",
            lost=lost,
        )
        if self.role is Role.WRITER:
            self._stand_by()


def _ended(last: asyncio.Task[Saved]) -> None:
    """Take note of how a last backup ended that nobody waits for any more: what came of it was told already."""
    if not last.cancelled():
        last.exception()
