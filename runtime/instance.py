"""One instance's part in the lineage, from restoring to standing by.

Owns the roles and the steps between them: boot, becoming the writer, yielding, following. Knows no signals and no
child processes' deaths: those are the supervisor's.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from runtime import selection, stock_snapshots
from runtime.backup import Backups
from runtime.changes import Delta
from runtime.clock import suspended_clock
from runtime.composition import Base
from runtime.edge.edge import Edge
from runtime.edge.gate import Gate, Refused, Written
from runtime.engine.process import Engine
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure, StoreError
from runtime.follower import CannotFollow, Follower
from runtime.handover import Declined, Turn
from runtime.journal.recorder import JournalRecorder
from runtime.journal.sender import Sender
from runtime.journal.writer import Journal
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.head import Head, Request
from runtime.repository.journal_object import JournalPosition, Opaque
from runtime.repository.repository import Repository, Superseded
from runtime.selection import Choice, Start
from runtime.settings import Settings
from runtime.stock_snapshots import Target
from runtime.writing import Saved, Writing

log = get_logger()

# A write that reaches a standby waits this long for the hand-over before it is refused.
_WRITE_WAITS_SECONDS = 5.0
_LONGEST_TURN_SECONDS = 300.0
_DRAIN_SECONDS = 5.0
_LET_GO_SECONDS = 5.0
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


@dataclass(frozen=True, slots=True)
class Restored:
    """How this instance started, for people and metrics."""

    start: Start
    manifest: str | None
    skipped: tuple[str, ...]
    points: int
    files: int
    bytes: int
    seconds: float
    forced: bool


class Instance:
    """One instance: wires gate, lineage, replica and writing into roles. Made by `build`."""

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
        self.follow_error: str | None = None
        self._settings = settings
        self._clock = clock
        self._promotion: asyncio.Task[None] | None = None
        self._opened_at = float("-inf")
        self._is_open = False
        self._following = asyncio.Lock()
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
        self._note_restored(start, turn, asyncio.get_running_loop().time() - started)
        if settings.instance_role == "reader":
            await self._snapshots_on_start()
            self._stand_by()
        elif start is Start.UNRESTORED:
            self.replica.opened_for_writes()
            await self.recovery.leave_behind()
            self._open(self.gate.written())
            self.gate.refuse("nothing was restored, as told: that is being saved")
            await self.writing.save("start", must=True)
            self.gate.admit()
        else:
            written = await self._catch_up()
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
        if self._promotion is not None:
            self._promotion.cancel()  # it would claim, and open, on the way out
        if not self.lineage.is_writer:
            return
        if not self._is_open:
            await self._let_go(seconds=seconds)
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
        await self._close_journal(complete=drained)
        return await self.writing.save("shutdown", clean=True, must=True)

    async def _look(self) -> None:
        state = await self.lineage.look_briefly()
        if self.lineage.is_writer:
            request = self.lineage.request
            if request is not None and self._is_open:
                await self._answer(request)
        elif state is not None and not self._is_promoting and self._should_follow(state.head):
            await self._follow(state.head)

    @property
    def _is_promoting(self) -> bool:
        return self._promotion is not None and not self._promotion.done()

    def _should_follow(self, head: Head) -> bool:
        """Tell whether to go to the newest backup: a reader always, a standby when it is not what it serves.

        Nobody writes while HEAD is let go, so there is something better to show: after `rollback`, say. While another
        writes, a standby would only trade one old state for another.
        """
        if self._settings.instance_role == "reader" or self.replica.placed is None:
            return True
        if self.recovery.journal is not None and self.replica.position is None:
            return True  # it holds what may never have been acknowledged, and can follow once it is at a backup
        return head.clean and head.requested_by is None

    async def follow(self) -> None:
        """Keep up with another writer's journal for as long as the process lives and does not write itself."""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            state = self.lineage.seen
            if self.role is not Role.STANDBY or self._is_promoting or state is None or not self.replica.engine.running:
                continue
            try:
                async with self._following:
                    await self.follower.step(state.head)
            except CannotFollow:
                self.replica.opened_for_writes()  # only a backup leads on: see `_follow`
            except RuntimeFailure as error:
                if self.follow_error != str(error):
                    log.error("follow.failing", message=f"The writer's journal cannot be followed: {error}")  # noqa: TRY400
                self.follow_error = str(error)
            else:
                self.follow_error = None

    async def _follow(self, head: Head) -> None:
        async with self._following:
            await self._place_newest(head)

    async def _place_newest(self, head: Head) -> None:
        if await self._reaches(head) and self.replica.engine.running:
            return
        await self.replica.place(head)
        await self.replica.start()
        log.info("standby.followed", message="Now at the newest backup", manifest=head.manifest)

    async def _reaches(self, head: Head) -> bool:
        """Whether the engine is at the newest backup, or the journal leads it there."""
        placed = self.replica.placed
        if placed is None or self.replica.position is None:
            return False
        if placed.choice.stands_for(head.manifest) or head.manifest is None:
            return True
        newest = await self.lineage.repository.manifest(head.manifest, head.manifest_sha256)
        return await self.follower.leads_to(newest)

    async def _answer(self, request: Request) -> None:
        """Yield to an instance that starts; to one that was sent a write only when we have had none for a while."""
        idle = asyncio.get_running_loop().time() - max(self.gate.last_write_at, self._opened_at)
        if request.reason == "write" and idle < self._settings.handover_idle_seconds and not self.lineage.is_yielding:
            await self.lineage.decline()
            log.info("handover.declined", message="Kept the lineage: this instance has writes itself")
            return
        log.info("handover.yielding", message="Handing over to another instance", to=request.instance)
        self.lineage.begin_yielding()
        async with self._signs_of_life():
            drained = await self.gate.drained(seconds=_DRAIN_SECONDS)
            await self._close_journal(complete=drained)
            await self.writing.save("handover", clean=True, must=True)
        self.lineage.stand_by()
        if drained:
            self.replica.settled(self.writing.base.name, self.writing.base.manifest)
        self._stand_by()
        log.info("handover.yielded", message="Standing by: reads only", manifest=self.writing.base.name)

    @contextlib.asynccontextmanager
    async def _signs_of_life(self) -> AsyncIterator[None]:
        """Touch HEAD while something takes its time, so that whoever waits does not take us for dead."""

        async def touch() -> None:
            while True:
                await asyncio.sleep(self._settings.handover_timeout_seconds / 5)
                with contextlib.suppress(StoreError, NotTheWriter):
                    await self.lineage.touch()

        task = asyncio.create_task(touch())
        try:
            yield
        finally:
            task.cancel()

    async def _acknowledge(self) -> int:
        """Let a write through that this instance may acknowledge; become the writer for it if nobody needs to be.

        With a journal no look at HEAD is needed: a write is acknowledged when its record is in the bucket, and whoever
        takes over seals the journal first.
        """
        if self.role is Role.STANDBY and self._settings.instance_role == "auto":
            await self._promoted()
        journal = self.recovery.journal
        if journal is None:
            return await self.lineage.acknowledge()
        journal.require_reachable()
        return self.lineage.writing_epoch()

    async def _promoted(self) -> None:
        if self._promotion is None or not self._is_promoting:
            self._promotion = asyncio.create_task(self._promote())
            self._promotion.add_done_callback(_noted)
            with contextlib.suppress(StoreError, IntegrityError):  # the promotion itself will say so
                await self.lineage.look()
        asked = self.lineage.request
        if asked is not None and asked.reason == "start":
            # The traffic is about to go there; what is held here would only be late.
            raise Refused("another instance is starting and takes over", retry_after=1)
        try:
            async with asyncio.timeout(_WRITE_WAITS_SECONDS):
                await asyncio.shield(self._promotion)
        except TimeoutError:
            raise Refused("another instance writes; it was asked to hand over", retry_after=1) from None
        except Declined:
            raise Refused("another instance writes and has writes itself", retry_after=1) from None
        except (RuntimeFailure, Superseded) as error:
            raise Refused(f"this instance could not take over: {error}", retry_after=2) from error

    async def _promote(self) -> None:
        async with self._following, asyncio.timeout(_LONGEST_TURN_SECONDS):
            await self._turn(restores=True).take("write")
            written = await self._catch_up()
        self._open(written)

    async def _catch_up(self) -> Written:
        """Do again what the journal holds beyond what was placed; return what had been written before."""
        position = self.replica.position if self.replica.followed else None
        try:
            async with self._signs_of_life():
                try:
                    return await self._replayed(position)
                except IntegrityError:
                    if position is None:
                        raise
                    # The journal does not lead on from where it was followed to: a backup does.
                    await self._place_again()
                    return await self._replayed(None)
        except RuntimeFailure:
            await self._let_go(seconds=_LET_GO_SECONDS)
            raise

    async def _replayed(self, position: JournalPosition | None) -> Written:
        written = self.gate.written()
        choice = self.replica.placed.choice if self.replica.placed else None
        self.replica.opened_for_writes()
        await self.recovery.catch_up(choice.manifest if choice else None, position)
        return written

    async def _place_again(self) -> None:
        state = self.lineage.seen
        if state is None:
            raise NotTheWriter("HEAD is gone")
        await self.replica.place(state.head)
        await self.replica.start()

    async def _let_go(self, *, seconds: float) -> None:
        """Give back a lineage that was claimed and not written to: whoever is next need not wait for a dead writer."""
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.lineage.release()
        self.lineage.stand_by()

    async def _close_journal(self, *, complete: bool) -> None:
        """Record nothing more. What is still under way may be in the last backup: no journal knows of it."""
        journal = self.recovery.journal
        if journal is None:
            return
        if self.recovery.stop_settling() or not complete:
            async with self.writing.alone():
                with contextlib.suppress(Refused):
                    journal.append_opaque(Opaque("writes without an answer", self.lineage.head_seq()))
        await journal.close(seconds=self._settings.handover_timeout_seconds / 2)

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

    def _open(self, written: Written) -> None:
        choice = self.replica.placed.choice if self.replica.placed else Choice(None, None)
        # What was followed came to other files than the newest backup has, and what was placed may be pruned already.
        known = None if self.replica.followed else choice.manifest
        newest = self.lineage.seen.head.manifest if self.replica.followed and self.lineage.seen else choice.name
        self.writing.begin(Base(known, newest, written), choice.skipped, self.recovery.progress)
        self._opened_at = asyncio.get_running_loop().time()
        self.fenced = False
        self._is_open = True
        self.role = Role.WRITER
        self.gate.admit()
        log.info("writer.opened", message="This instance is the writer", epoch=self.lineage.epoch)

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

    def _note_restored(self, start: Start, turn: Turn, seconds: float) -> None:
        placed = self.replica.placed
        manifest = placed.choice.manifest if placed else None
        self.restored = Restored(
            start,
            placed.choice.name if placed else None,
            placed.choice.skipped if placed else (),
            manifest.points if manifest else 0,
            placed.files if placed else 0,
            placed.bytes if placed else 0,
            placed.seconds if placed else 0.0,
            turn.forced,
        )
        if manifest is None or placed is None:
            return
        log.info("restore.found", message=f"Found latest snapshot: {placed.choice.name}")
        for name, collection in manifest.collections.items():
            message = f"Snapshot restored successfully to collection {name}"
            log.info("restore.collection", message=message, collection=name, points=collection.points)
        log.info(
            "restore.finished",
            message=f"Restored {manifest.points} points in {placed.seconds * 1000:.0f} ms",
            manifest=placed.choice.name,
            skipped=placed.choice.skipped,
            files=placed.files,
            bytes=placed.bytes,
            milliseconds=round(placed.seconds * 1000),
            total_milliseconds=round(seconds * 1000),
        )


def build(settings: Settings, repository: Repository, edge: Edge) -> Instance:
    """Return an instance of real parts."""
    name = uuid.uuid4().hex[:12]
    engine = Engine(settings)
    gate = edge.gate
    journal = (
        Journal(
            repository,
            linger_seconds=settings.journal_linger_milliseconds / 1000,
            patience_seconds=settings.handover_timeout_seconds,
        )
        if settings.keeps_journal
        else None
    )
    lineage = Lineage(
        repository,
        name,
        timeout_seconds=settings.handover_timeout_seconds,
        outage=settings.store_outage,
        clock=suspended_clock,
    )
    backups = Backups(settings, engine, gate, repository, journal=journal.position if journal else None)
    writing = Writing(settings, gate, lineage, backups, journal)
    recorder = None
    if journal is not None:
        recorder = JournalRecorder(
            journal,
            engine.admin,
            settings.storage_dir,
            alone=writing.alone,
            head_seq=lineage.head_seq,
            only=settings.collections,
        )
        gate.recorder = recorder
    replica = Replica(settings, engine, repository, edge)

    def sender() -> Sender:
        return Sender(settings)

    return Instance(
        settings,
        name=name,
        gate=gate,
        lineage=lineage,
        replica=replica,
        writing=writing,
        recovery=Recovery(gate, lineage, sender, journal, recorder),
        follower=Follower(repository, replica, name, sender=sender, note=gate.note),
        clock=suspended_clock,
    )


def _noted(promotion: asyncio.Task[None]) -> None:
    """Take note of how a promotion ended: whoever waited for it may have given up."""
    if not promotion.cancelled() and (error := promotion.exception()) is not None:
        log.info("handover.not_taken", message=f"Did not become the writer: {error!r}")


def _ended(last: asyncio.Task[Saved]) -> None:
    """Take note of how a last backup ended that nobody waits for any more: what came of it was told already."""
    if not last.cancelled():
        last.exception()
