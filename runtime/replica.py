"""The local copy: one engine on one storage directory, brought to a backup and compared with it.

Owns stopping, placing, starting and comparing. Decides nothing about who may write.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime import comparison, restore, selection
from runtime.changes import Delta
from runtime.engine import process
from runtime.engine import storage as layout
from runtime.engine.process import Engine
from runtime.engine.tuning import refuse_what_cannot_fit
from runtime.errors import EngineError, IntegrityError
from runtime.logs import get_logger
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.selection import Choice
from runtime.settings import Settings
from runtime.task_group import task_group

log = get_logger()


@dataclass(frozen=True, slots=True)
class Placed:
    """What was placed, and what it took."""

    choice: Choice
    files: int
    bytes: int
    seconds: float


class Reads(Protocol):
    """The way of reads to the engine."""

    async def open_reads(self) -> None:
        """Let reads through."""

    async def close_reads(self) -> None:
        """Turn reads away."""


class Replica:
    """One engine's data. `placed` is what its directory was last made to hold.

    `position` is up to where it holds the journal, exactly; None when it may hold more than was acknowledged.
    `followed`: that is beyond what was placed.
    """

    def __init__(self, settings: Settings, engine: Engine, repository: Repository, reads: Reads) -> None:
        self.engine = engine
        self._reads = reads
        self.progress = Progress()
        self.placed: Placed | None = None
        self.position: JournalPosition | None = None
        self.followed = False
        self._untouched: Manifest | None = None
        self._written_to = False
        self._settings = settings
        self._repository = repository
        self._version: str | None = None
        # Placing, starting and restarting are asked for from several sides: a hand-over, a reader, a dead engine.
        self._one_at_a_time = asyncio.Lock()
        self.placed_once = asyncio.Event()

    def set_aside(self) -> Path | None:
        """Move what an earlier process left in the storage directory beside it; None when there was nothing."""
        return layout.set_aside(self._settings.storage_dir)

    def holds(self, newest: str | None) -> bool:
        """Whether the directory holds what a lineage restores whose HEAD names `newest`, or follows its journal."""
        return self.is_at(newest) or (self.placed is not None and self.followed and not self._written_to)

    def is_at(self, newest: str | None) -> bool:
        """Whether the directory was made to hold what a lineage restores whose HEAD names `newest`, unwritten to."""
        return self.placed is not None and self.placed.choice.stands_for(newest) and not self._written_to

    def opened_for_writes(self) -> None:
        """From now on the engine may hold more than any backup."""
        self._written_to = True
        self.position = None

    def advanced(self, position: JournalPosition) -> None:
        """Note that the engine holds the journal up to here."""
        self.position = position
        self.followed = True

    def settled(self, name: str | None, manifest: Manifest | None) -> None:
        """Everything the engine holds is in this backup, and no write follows."""
        self._is_at(Placed(Choice(name, manifest), 0, 0, 0.0))

    def _is_at(self, placed: Placed) -> None:
        manifest = placed.choice.manifest
        self.placed = placed
        self.position = manifest.replay_from() if manifest else JournalPosition(1, -1)
        self.followed = False
        self._written_to = False

    async def place(self, head: Head) -> Placed:
        """Make the storage directory hold the newest intact backup of a lineage. The engine is stopped for it.

        A damaged backup is passed over for the next older intact one, loudly, if RESTORE_FALLBACK allows it.
        Raises IntegrityError, StoreError.
        """
        async with self._one_at_a_time:
            await self._stop()
            self.placed = self.position = None
            self._written_to = self.followed = False
            async for choice in selection.candidates(self._repository, head, self._settings.restore_fallback):
                try:
                    placed = await self._place(choice)
                except IntegrityError as error:
                    log.exception("restore.damaged", message=f"A backup is damaged: {error}", manifest=choice.name)
                    continue
                self._is_at(placed)
                return placed
        raise IntegrityError(f"no backup in {self._repository} can be restored")

    async def place_nothing(self) -> Placed:
        """Make the storage directory empty: a new lineage starts so."""
        async with self._one_at_a_time:
            await self._stop()
            placed = await self._place_nothing()
            self._is_at(placed)
            return placed

    async def start(self) -> None:
        """Start the engine on what was placed, unless it runs, and compare. Raises EngineError, IntegrityError."""
        async with self._one_at_a_time:
            if self.engine.running:
                return
            if self.placed is None:
                raise EngineError("nothing was placed to start Qdrant on")
            self._untouched = None
            await self._start(self.placed.choice.manifest, None)

    async def restart(self, newest: Manifest | None, written: Delta) -> None:
        """Start an engine that died by itself again, on the same files: what it acknowledged survives that there.

        What nobody wrote to since the newest backup must count what it counted then. An engine that was not written
        to must hold what was placed.
        """
        placed = self.placed.choice.manifest if self.placed else None
        async with self._one_at_a_time:
            if not self.engine.running:
                await self._stop()
                if self.followed and not self._written_to:
                    placed = None  # it holds more, and what survived the engine's death is what it had answered
                await self._start(*((newest, written) if self._written_to else (placed, None)))

    async def stop(self) -> None:
        """Turn reads away and stop the engine at once: what it holds is not needed, or is about to be replaced."""
        async with self._one_at_a_time:
            await self._stop()

    async def _stop(self) -> None:
        await self._reads.close_reads()
        await self.engine.stop(grace_seconds=0)

    async def _start(self, manifest: Manifest | None, written: Delta | None) -> None:
        self.placed_once.set()
        await self.engine.start()
        if manifest is not None:
            await self._compare(manifest, written)
        await self._reads.open_reads()

    async def _place_nothing(self) -> Placed:
        self._untouched = None
        await asyncio.to_thread(restore.clear, self._settings.storage_dir)
        return Placed(Choice(None, None), 0, 0, 0.0)

    async def _place(self, choice: Choice) -> Placed:
        started = time.monotonic()
        if choice.manifest is None:
            return await self._place_nothing()
        async with task_group() as group:
            group.create_task(self._refuse_newer(choice.manifest))  # what starts a process to ask it
            group.create_task(self._place_files(choice.manifest))
        self._untouched = choice.manifest
        return Placed(choice, self.progress.files, self.progress.bytes, time.monotonic() - started)

    async def _place_files(self, manifest: Manifest) -> None:
        room = await asyncio.to_thread(process.room, self._settings)
        refuse_what_cannot_fit(manifest.live_bytes(), room)
        self.progress.files = self.progress.files_done = self.progress.bytes = self.progress.bytes_done = 0
        untouched, self._untouched = self._untouched, None
        await restore.place(self._repository, manifest, self._settings.storage_dir, self.progress, untouched=untouched)

    async def _refuse_newer(self, manifest: Manifest) -> None:
        self._version = self._version or await process.version(self._settings)
        comparison.refuse_newer(manifest, self._version)

    async def _compare(self, manifest: Manifest, written: Delta | None) -> None:
        """Compare what the engine holds with what the backup says, less what was written since."""
        wrong = await comparison.differences(self.engine.admin, manifest, written)
        if wrong:
            await self._stop()
            raise IntegrityError("Qdrant does not hold what was restored: " + "; ".join(wrong[:10]))
