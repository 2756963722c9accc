"""One process with a disk of its own: the real instance over the disk engine and the model store.

Owns how its parts are put together and how it dies: at a store operation, with everything it was doing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from runtime.backup import Backups
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate
from runtime.edge.passage import passage
from runtime.edge.recording import Sent
from runtime.follower import Follower
from runtime.instance import Instance
from runtime.journal.sender import Sender
from runtime.lineage import Lineage
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing
from tests.crash_points.bucket import WatchedBucket
from tests.crash_points.engine import DiskEngine
from tests.support.model_store import Crash, ModelStore, Plan, no_faults
from tests.support.processes import Process, ProcessLoop

T = TypeVar("T")

SENT = Sent("rest", "PUT", "/collections/c/points", b"{}")


class Reads:
    """The way of reads, which nobody looks at."""

    async def open_reads(self) -> None:
        """Let them through."""

    async def close_reads(self) -> None:
        """Turn them away."""


class Machine:
    """One process, from its start to its death."""

    def __init__(self, bucket: WatchedBucket, name: str, storage: Path, plan: Plan = no_faults) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        self.process = Process(loop, name, rate=1.0, offset=0.0)
        self.store = ModelStore(bucket, name, plan=plan, list_page=5)
        self.repository = Repository(self.store)
        self.settings = settings_for(storage)
        self.engine = DiskEngine(storage)
        self.gate = Gate()
        engine, settings = self.engine.as_engine(), self.settings
        timeout = settings.handover_timeout_seconds
        lineage = Lineage(self.repository, name, timeout_seconds=timeout, outage="refuse", clock=self.process.clock)
        replica = Replica(settings, engine, self.repository, Reads())
        replica._version = "1.19.0"
        self.instance = Instance(
            settings,
            name=name,
            gate=self.gate,
            lineage=lineage,
            replica=replica,
            writing=Writing(settings, self.gate, lineage, Backups(settings, engine, self.gate, self.repository)),
            recovery=Recovery(self.gate, lineage, lambda: Sender(settings)),
            follower=Follower(self.repository, replica, name, sender=lambda: Sender(settings), note=self.gate.note),
            clock=self.process.clock,
        )

    async def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Run something in the process; when the process dies of it, everything else in it ends too."""
        try:
            return await self.process.spawn(what)
        except Crash:
            self.process.kill()
            raise

    async def boot(self) -> None:
        """Start as an instance does."""
        await self.do(self.instance.boot())

    async def write(self, effect: Effect, collection: str | None, change: Callable[[], None]) -> None:
        """Write through the gate; returning means that it was acknowledged. Raises Refused."""

        async def through() -> None:
            """Pass the gate."""
            async with passage(self.gate, Write(effect, collection), str, SENT) as state:
                change()
                state.outcome = Outcome.APPLIED

        await self.do(through())

    async def put(self, collection: str, point: str, content: str, shard: int = 0) -> None:
        """Write a point."""
        await self.write(Effect.POINTS, collection, lambda: self.engine.put(collection, point, content, shard))

    async def create(self, collection: str, shards: int = 1) -> None:
        """Make a collection."""
        await self.write(Effect.REPLACE, collection, lambda: self.engine.create(collection, shards))

    async def save(self) -> None:
        """Take and commit a backup."""
        await self.do(self.instance.writing.save("test"))

    async def finish(self) -> None:
        """End as on SIGTERM."""
        await self.do(self.instance.finish(seconds=6))
        self.process.kill()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch HEAD meanwhile, as a living instance does."""
        task = self.process.spawn(self.instance.watch())
        try:
            yield
        finally:
            task.cancel()


def settings_for(storage: Path) -> Settings:
    """Return a machine's settings."""
    return Settings.from_env(
        {
            "BACKUP_URL": "file:///model/bucket",
            "QDRANT_STORAGE_DIR": str(storage),
            "HANDOVER_TIMEOUT_SECONDS": "2",
            "HANDOVER_IDLE_SECONDS": "0.1",
            "BACKUP_QUIET_SECONDS": "0.4",
            "BACKUP_MAX_AGE_SECONDS": "1.5",
        }
    )
