"""A writer in virtual time whose backups are scripted."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.composition import Base, Position, Taken
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing
from tests.support import manifests
from tests.support.faults import Faults
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.virtual_time import run as run_virtually

T = TypeVar("T")


QUIET, AGE = 5.0, 60.0


SETTINGS = Settings.from_env({"BACKUP_URL": "file:///backups"})


class ScriptedBackups:
    """Takes backups of nothing, each in so many seconds, or raises what is planned."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.seconds = 0.0
        self.errors: list[Exception] = []
        self.nothing_new = False
        self.taken: list[tuple[float, Base, Position, bool]] = []
        self.running = 0

    async def take(self, base: Base, position: Position, *, must: bool, settles: bool = False) -> Taken:  # noqa: ARG002 - as the real one
        """Take one, of what is written at its beginning."""
        assert self.running == 0
        self.running += 1
        try:
            self.taken.append((asyncio.get_running_loop().time(), base, position, must))
            written = self._gate.written()
            await asyncio.sleep(self.seconds)
            if self.errors:
                raise self.errors.pop(0)
            manifest = manifests.manifest(
                position.epoch, position.seq, lineage=position.lineage, skipped=position.skipped, parent=base.name
            )
            return Taken(None if self.nothing_new else manifest, written, ("a",), 10, 5, 0.01)
        finally:
            self.running -= 1


class Stage:
    """A writer with a gate, in virtual time, and what it committed when."""

    def __init__(self) -> None:
        self.bucket = ModelBucket()
        self.faults = Faults()
        self.gate = Gate()
        self.gate.admit()
        self.lineage = Lineage(
            Repository(ModelStore(self.bucket, "a", plan=self.faults)),
            "a",
            timeout_seconds=10,
            outage="refuse",
            clock=asyncio.get_running_loop().time,
        )
        self.backups = ScriptedBackups(self.gate)
        self.writing = Writing(SETTINGS, self.gate, self.lineage, self.backups)

    @property
    def now(self) -> float:
        """Return the time."""
        return asyncio.get_running_loop().time()

    @property
    def times(self) -> list[float]:
        """Return when backups were taken."""
        return [round(when, 3) for when, *_ in self.backups.taken]

    async def write(self) -> None:
        """Let one write through."""
        await self.gate.enter()
        self.gate.leave(Write(Effect.POINTS, "a"), Outcome.APPLIED)

    async def until(self, when: float) -> None:
        """Wait until a moment."""
        await asyncio.sleep(max(0.0, when - self.now))

    def head(self) -> Head:
        """Return HEAD as it is in the bucket."""
        return Head.decode(self.bucket.objects[names.HEAD].data)


def on_stage(story: Callable[[Stage], Awaitable[T]], *, scheduled: bool = True) -> T:
    """Run a story with a writer that has just made its lineage, and whose schedule runs."""

    async def tell() -> T:
        """Tell it."""
        stage = Stage()
        await stage.lineage.create()
        stage.writing.begin(Base(None, None, stage.gate.written()), ())
        task = asyncio.create_task(stage.writing.run()) if scheduled else None
        try:
            return await story(stage)
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    return run_virtually(tell())
