"""The writer's work: what is unsaved, when it is saved, and the commit of it.

Owns the sequence take → commit, one at a time, and what follows a failure. When a backup is due is `runtime.schedule`'s
to say, whether this instance is the writer `runtime.lineage`'s.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from runtime.backup import Busy
from runtime.composition import Base, Position, Taken
from runtime.edge.gate import Gate, Refused
from runtime.errors import EngineError, IntegrityError, NotTheWriter, RuntimeFailure, StoreError
from runtime.history import Done, History
from runtime.journal.estimate import Estimate
from runtime.journal.replay import Replayed
from runtime.journal.writer import Journal, Load
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.schedule import Schedule
from runtime.settings import Settings

log = get_logger()

_BUSY_SECONDS = 0.2
_MOST_TRIES = 10
_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Saved:
    """The outcome of one backup: the manifest it committed (None: nothing to save) and what it took."""

    manifest: str | None
    looked_at: tuple[str, ...]
    streamed_bytes: int
    packed_bytes: int
    held_seconds: float
    seconds: float
    finished_at: float


class TakesBackups(Protocol):
    """What takes a backup; see `runtime.backup.Backups`."""

    async def take(self, base: Base, position: Position, *, must: bool, settles: bool = False) -> Taken:
        """Take a backup of what changed since `base`. Raises Busy, EngineError, StoreError, IntegrityError."""


class Writing:
    """Saves what is written. `base` is the newest committed state and what was written by then."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        lineage: Lineage,
        backups: TakesBackups,
        journal: Journal | None = None,
    ) -> None:
        self.base = Base(None, None, gate.written())
        self.last: Saved | None = None
        self.history = History()
        self.last_error: str | None = None
        self.failures = 0
        self._settings = settings
        self._gate = gate
        self._lineage = lineage
        self._backups = backups
        self._journal = journal
        self._lock = asyncio.Lock()
        self._pending: Taken | None = None
        self._saving: asyncio.Task[object] | None = None
        self._skipped: tuple[str, ...] = ()
        self.estimate = Estimate()
        self._in_base = self._recorded
        self._epoch: int | None = None
        self.schedule = Schedule(settings, gate, is_long_to_replay=self._is_long_to_replay)
        gate.on_write = self.schedule.written

    @property
    def unsaved_count(self) -> int:
        """How many writes are not in any backup."""
        return self._gate.written().total - self.base.written.total

    @property
    def to_replay(self) -> Load:
        """What was recorded since the newest backup: a start would do it again."""
        return self._recorded - self._in_base

    @property
    def replay_seconds(self) -> float:
        """How long a start would take for that, estimated."""
        return self.estimate.seconds(self.to_replay)

    @property
    def _recorded(self) -> Load:
        return self._journal.load if self._journal else Load(0, 0)

    def begin(self, base: Base, skipped: tuple[str, ...], replayed: Replayed | None = None) -> None:
        """Start from a backup, all of which the engine holds, and what was `replayed` beyond it.

        `skipped` is recorded in the next one, soon. Before that nothing of this epoch is saved: the journal may not be
        replayed yet.
        """
        self._epoch = self._lineage.epoch
        self.base = base
        self._in_base = self._recorded
        if replayed is not None:
            self.estimate.learn(replayed)
            self._in_base -= Load(replayed.records_done, replayed.bytes)
        self.schedule.saved(left_since=None)
        self._pending = None
        self._skipped = skipped
        if skipped or self.unsaved_count:
            self.schedule.written()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Let no backup be under way but the one that the block asks for by what is yielded, which raises Refused."""
        async with self._lock:
            yield self._save_opaque

    async def _save_opaque(self) -> None:
        for _ in range(_MOST_TRIES):
            try:
                await self._save("opaque", clean=False, must=False, settles=True)
            except Busy:
                await asyncio.sleep(_BUSY_SECONDS)
            except RuntimeFailure as error:
                raise Refused(f"it was applied and could not be backed up: {error.message}", retry_after=5) from error
            else:
                return
        raise Refused("it was applied and could not be backed up yet: other writes do not end", retry_after=5)

    def start_over(self) -> None:
        """Save everything anew, soon: the newest backup turned out damaged, and the engine has it all."""
        self.base = replace(self.base, manifest=None)
        self.schedule.written()

    async def save(self, reason: str, *, clean: bool = False, must: bool = False) -> Saved:
        """Take a backup and commit it; with `clean` also let the lineage go.

        Raises Busy, NotTheWriter, StoreError, EngineError, IntegrityError; what was not committed stays unsaved.
        """
        async with self._lock:
            try:
                return await self._save(reason, clean=clean, must=must)
            except (StoreError, EngineError, IntegrityError) as error:
                self._failed(error)
                raise

    async def _save(self, reason: str, *, clean: bool, must: bool, settles: bool = False) -> Saved:
        if self._lineage.epoch is None or self._epoch != self._lineage.epoch:
            raise NotTheWriter("this instance is not the writer")
        self._saving = asyncio.current_task()
        started = asyncio.get_running_loop().time()
        oldest = started if self.schedule.unsaved_since is None else self.schedule.unsaved_since
        try:
            await self._finish_pending()
            taken, name = await self._take_and_commit(reason, clean=clean, must=must, settles=settles)
        except IntegrityError:
            # The engine and the newest manifest do not fit together: the next backup asks for everything.
            self.base = replace(self.base, manifest=None)
            raise
        now = asyncio.get_running_loop().time()
        self.last_error = None
        saved = Saved(
            name,
            taken.looked_at,
            taken.streamed_bytes,
            taken.packed_bytes,
            taken.held_seconds,
            now - started,
            now,
        )
        if name is not None:
            self.last = saved
            self.schedule.took(saved.seconds)
            self.history.add(
                Done(
                    name,
                    reason,
                    time.time(),
                    saved.streamed_bytes,
                    saved.packed_bytes,
                    saved.held_seconds,
                    saved.seconds,
                    now - oldest,
                )
            )
            _log_committed(reason, saved, self.base)
        return saved

    def give_way(self) -> None:
        """Cancel the backup under way, whoever asked for it: the last one holds what it would have, and more."""
        if self._lock.locked() and self._saving is not None:
            self._saving.cancel()

    async def run(self) -> None:
        """Save whenever it is due, for as long as the process lives."""
        retry = _FIRST_RETRY_SECONDS
        busy = _BUSY_SECONDS
        while True:
            await self.schedule.until_due()
            pause = 0.0
            try:
                # Writes that never all end at once must not put a backup off for ever. With a journal they may: it
                # holds them, and a backup in the middle of one would not know whether it has it.
                await self.save("change", must=self.schedule.is_overdue() and self._journal is None)
            except Busy:
                pause = busy
                if self._journal is not None:  # nothing is lost meanwhile; else the promised age would be broken
                    busy = min(busy * 2, _LONGEST_RETRY_SECONDS)
            except NotTheWriter:
                self.schedule.rest()
            except (StoreError, EngineError, IntegrityError):
                pause = retry
                retry = min(retry * 2, _LONGEST_RETRY_SECONDS)
            else:
                retry, busy = _FIRST_RETRY_SECONDS, _BUSY_SECONDS
            # Out here: a failure that is being handled keeps alive what its backup held.
            await asyncio.sleep(pause)

    async def _take_and_commit(
        self, reason: str, *, clean: bool, must: bool, settles: bool
    ) -> tuple[Taken, str | None]:
        began, recorded = asyncio.get_running_loop().time(), self._recorded
        position = self._lineage.position(reason, self._skipped)
        taken = await self._backups.take(self.base, position, must=must, settles=settles)
        name = None
        if taken.manifest is not None:
            self._pending = taken
            if taken.manifest.journal is not None and self._journal is not None:
                # Not ahead of the journal: an older backup and the journal must come to the same.
                await self._journal.durable_to(taken.manifest.journal)
            name = await self._lineage.commit(taken.manifest, clean=clean)
            self._committed(taken, name)
            self._in_base = recorded  # and what came until the barrier, but that is little
        else:
            self.base = replace(self.base, written=taken.written)
            if clean:
                await self._lineage.release()
        # What was written since the barrier is at most this old.
        self.schedule.saved(left_since=began if self.unsaved_count else None)
        return taken, name

    async def _finish_pending(self) -> None:
        finished = await self._lineage.finish_pending()
        if finished is not None and self._pending is not None:
            self._committed(self._pending, finished[0])

    def _committed(self, taken: Taken, name: str) -> None:
        self.base = Base(taken.manifest, name, taken.written)
        self._pending = None
        self._skipped = ()

    def _is_long_to_replay(self) -> bool:
        return self._journal is not None and self.replay_seconds >= self._settings.replay_target_seconds

    def _failed(self, error: RuntimeFailure) -> None:
        self.failures += 1
        self.history.failures[type(error).__name__] += 1
        self.last_error = str(error)
        log.error(
            "backup.failed",
            message=f"A backup failed; what is unsaved is tried again: {error}",
            error=error.message,
            unsaved=self.unsaved_count,
        )


def _log_committed(reason: str, saved: Saved, base: Base) -> None:
    log.info(
        "backup.committed",
        message=f"Backup committed: {saved.manifest}",
        manifest=saved.manifest,
        reason=reason,
        points=base.manifest.points if base.manifest else 0,
        collections=len(saved.looked_at),
        streamed_bytes=saved.streamed_bytes,
        packed_bytes=saved.packed_bytes,
        held_milliseconds=round(saved.held_seconds * 1000, 1),
        seconds=round(saved.seconds, 3),
    )
