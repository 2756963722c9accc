"""One process with a disk of its own: the real instance over the disk engine and the model store.

Owns how its parts are put together and how it dies: at a store operation, with everything it was doing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from runtime.backup import Backups
from runtime.edge.answers import Answer
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate
from runtime.edge.passage import passage
from runtime.errors import EngineError
from runtime.follower import Follower
from runtime.instance import Instance
from runtime.journal.recorder import JournalRecorder
from runtime.journal.writer import Journal
from runtime.lineage import Lineage
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing
from tests.crash_points.bucket import WatchedBucket
from tests.crash_points.engine import ALIASES, DiskEngine
from tests.crash_points.replays import DiskSender, request
from tests.crash_points.written import History
from tests.support.model_store import Crash, ModelStore, Plan, no_faults
from tests.support.processes import Process, ProcessLoop

T = TypeVar("T")


class Reads:
    """The way of reads, which nobody looks at."""

    async def open_reads(self) -> None:
        """Let them through."""

    async def close_reads(self) -> None:
        """Turn them away."""


class MortalStore(ModelStore):
    """A store whose client's process dies as a whole when an operation kills it, whichever of its tasks asked."""

    process: Process

    def _died(self, number: int) -> Crash:
        """End the process."""
        crash = super()._died(number)
        self.process.kill()
        return crash


class Machine:
    """One process, from its start to its death. `history` is told what is written, where a journal is kept."""

    def __init__(
        self,
        bucket: WatchedBucket,
        name: str,
        storage: Path,
        plan: Plan = no_faults,
        *,
        durability: str = "snapshot",
        history: History | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        self.process = Process(loop, name, rate=1.0, offset=0.0)
        self.store = MortalStore(bucket, name, plan=plan, list_page=5)
        self.store.process = self.process
        self.repository = Repository(self.store)
        self.settings = settings_for(storage, durability)
        self.engine = DiskEngine(storage)
        self.history = history or History()
        self.answers_get_lost = False
        self.gate = Gate()
        engine, settings, repository = self.engine.as_engine(), self.settings, self.repository
        timeout = settings.handover_timeout_seconds
        lineage = Lineage(repository, name, timeout_seconds=timeout, outage="refuse", clock=self.process.clock)
        replica = Replica(settings, engine, repository, Reads())
        replica._version = "1.19.0"
        journal = Journal(repository, linger_seconds=0.002, patience_seconds=2) if settings.keeps_journal else None
        backups = Backups(settings, engine, self.gate, repository, journal=journal.position if journal else None)
        writing = Writing(settings, self.gate, lineage, backups, journal)
        recorder = None
        if journal is not None:
            recorder = self.gate.recorder = JournalRecorder(
                journal, engine.admin, settings.storage_dir, alone=writing.alone, head_seq=lineage.head_seq
            )

        def sender() -> DiskSender:
            """Return a way to do recorded writes again."""
            return DiskSender(self.engine)

        self.instance = Instance(
            settings,
            name=name,
            gate=self.gate,
            lineage=lineage,
            replica=replica,
            writing=writing,
            recovery=Recovery(self.gate, lineage, sender, journal, recorder),
            follower=Follower(repository, replica, name, sender=sender, note=self.gate.note),
            clock=self.process.clock,
        )

    async def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Run something in the process. Raises Crash when the process dies of it, or meanwhile."""
        if self._is_dead():
            what.close()
            raise Crash(self.process.name)
        task = self.process.spawn(what)
        try:
            done = await task
        except asyncio.CancelledError:
            if self._is_dead() and task.cancelled():
                raise Crash(self.process.name) from None
            raise
        if self._is_dead():
            raise Crash(self.process.name)
        return done

    def _is_dead(self) -> bool:
        """Whether the process has died."""
        return self.process.dead

    async def boot(self) -> None:
        """Start as an instance does."""
        await self.do(self.instance.boot())

    async def write(self, effect: Effect, collection: str | None, what: str, arguments: dict[str, Any]) -> None:
        """Write through the gate; returning means that it was acknowledged. Raises Refused.

        `what` is the engine's method; an engine that answers with an error makes it a write without an answer.
        """
        place: int | None = None

        async def through() -> None:
            """Pass the gate."""
            nonlocal place
            async with passage(self.gate, Write(effect, collection), str, request(what, arguments)) as state:
                number = self.engine.apply(what, arguments)
                place = self.history.applied(collection, self.engine.state_of(collection or ALIASES))
                if self.answers_get_lost:
                    raise EngineError("the engine's answer is lost")
                state.answer = Answer(() if number is None else (number,))
                state.outcome = Outcome.APPLIED

        await self.do(through())
        self.history.acknowledged(collection, place)

    async def put(self, collection: str, point: str, content: str, shard: int = 0) -> None:
        """Write a point."""
        arguments = {"collection": collection, "point": point, "content": content, "shard": shard}
        await self.write(Effect.POINTS, collection, "put", arguments)

    async def create(self, collection: str, shards: int = 1) -> None:
        """Make a collection."""
        await self.write(Effect.REPLACE, collection, "create", {"collection": collection, "shards": shards})

    async def save(self) -> None:
        """Take and commit a backup."""
        await self.do(self.instance.writing.save("test"))

    async def finish(self) -> None:
        """End as on SIGTERM."""
        await self.do(self.instance.finish(seconds=6))
        self.process.kill()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch HEAD meanwhile, and follow the journal, as a living instance does."""
        tasks = [self.process.spawn(self.instance.watch()), self.process.spawn(self.instance.follow())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def settings_for(storage: Path, durability: str) -> Settings:
    """Return a machine's settings."""
    return Settings.from_env(
        {
            "BACKUP_URL": "file:///model/bucket",
            "QDRANT_STORAGE_DIR": str(storage),
            "DURABILITY": durability,
            "HANDOVER_TIMEOUT_SECONDS": "2",
            "HANDOVER_IDLE_SECONDS": "0.1",
            "BACKUP_QUIET_SECONDS": "0.4",
            "BACKUP_MAX_AGE_SECONDS": "1.5",
        }
    )
