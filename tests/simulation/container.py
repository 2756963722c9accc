"""One container of the simulated service: the real supervisor's life of a real instance over a simulated outside.

Owns how the parts are put together, and what a client's request does inside a container.
"""

import asyncio
import contextlib
import datetime as dt
import json
import random
from pathlib import Path
from typing import cast

from runtime import supervisor
from runtime.backup import Backups, Busy
from runtime.edge.answers import Answer
from runtime.edge.edge import Edge
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate, Refused
from runtime.edge.passage import passage
from runtime.edge.recording import Sent
from runtime.errors import EngineError, RuntimeFailure
from runtime.follower import Follower
from runtime.instance import Instance, Role
from runtime.journal.recorder import JournalRecorder
from runtime.journal.writer import Journal
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.recovery import Recovery
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing
from tests.simulation.engine import Child, SimulatedEngine, SimulatedReplica, SimulatedSender
from tests.simulation.judge import Judge
from tests.simulation.network import NetworkStore, Weather
from tests.support.processes import Process

log = get_logger()

# A backup waits up to two seconds for writes in flight, then takes its time.
_SLACK_SECONDS = 3.0
# How long the children take to end, while clients are still connected.
_ENDING_SECONDS = 0.6


class StillEdge:
    """An edge whose proxy never dies and whose reads nobody looks at."""

    def __init__(self) -> None:
        self.haproxy = Child("proxy")

        self.reads_pass = False

    async def open_reads(self) -> None:
        """Let reads through."""
        self.reads_pass = True

    async def close_reads(self) -> None:
        """Turn reads away."""
        self.reads_pass = False


class Container:
    """One container: made, run once, never again."""

    def __init__(
        self, process: Process, bucket_store: NetworkStore, settings: Settings, judge: Judge, rng: random.Random
    ) -> None:
        self.process = process
        self.name = process.name
        self.engine = SimulatedEngine(rng)
        self.gate = Gate()
        self.applied: dict[str, int | None] = {}
        self.ended = asyncio.Event()
        self.refused_with = ""
        self.told_to_end_at = float("-inf")
        self.promised_seconds = settings.backup_max_age_seconds + _SLACK_SECONDS
        self._settings = settings
        self._judge = judge
        self._rng = rng
        self._edge = StillEdge()
        # Of its own, so that it changes nothing else that a seed draws.
        self._wall = random.Random(process.name)
        repository = Repository(bucket_store)
        lineage = Lineage(
            repository,
            self.name,
            timeout_seconds=settings.handover_timeout_seconds,
            outage=settings.store_outage,
            clock=process.clock,
        )
        engine = self.engine.as_engine()
        replica = SimulatedReplica(settings, engine, repository, self._edge)
        replica._version = "1.19.0"
        journal = Journal(repository, linger_seconds=0.002, patience_seconds=2) if settings.keeps_journal else None
        backups = Backups(
            settings,
            engine,
            self.gate,
            repository,
            wall_clock=self._wall_clock,
            journal=journal.position if journal else None,
        )
        writing = Writing(settings, self.gate, lineage, backups, journal)
        recorder = None
        if journal is not None:
            recorder = self.gate.recorder = JournalRecorder(
                journal,
                engine.admin,
                settings.storage_dir,
                alone=writing.alone,
                head_seq=lineage.head_seq,
                wall_clock=lambda: self._wall_clock().timestamp(),
            )

        def sender() -> SimulatedSender:
            return SimulatedSender(self.engine, judge.replayed)

        self.instance = Instance(
            settings,
            name=self.name,
            gate=self.gate,
            lineage=lineage,
            replica=replica,
            writing=writing,
            recovery=Recovery(self.gate, lineage, sender, journal, recorder),
            follower=Follower(repository, replica, self.name, sender=sender, note=self.gate.note),
            clock=process.clock,
        )
        judge.containers[self.name] = self
        self.life = process.spawn(self._live())

    @property
    def reads_pass(self) -> bool:
        """Whether reads reach the engine, and it runs."""
        return self._edge.reads_pass and self.engine.running

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self.process.dead and not self.life.done()

    def is_well(self, now: float) -> bool:
        """Whether it runs and was not frozen lately: nobody may take it for dead."""
        return self.alive and not self.ended.is_set() and self.process.last_frozen < now - 60

    def end(self, now: float) -> None:
        """Tell it to end, as SIGTERM does."""
        self.told_to_end_at = now
        self.ended.set()

    def crash(self, now: float) -> None:
        """Die at once."""
        log.info("container.crashed", message=f"    {self.name} crashes")
        self._judge.crashed(self.name, "crash", now)
        self.process.kill()

    def write(self, collection: str, write: str) -> asyncio.Task[None]:
        """Let a client write; the write's name is its content."""
        return self.process.spawn(self._write(collection, write))

    def snapshot(self) -> asyncio.Task[None]:
        """Let somebody ask for a backup now."""
        return self.process.spawn(self._snapshot())

    async def _live(self) -> None:
        """Live as the supervisor says. A container whose start or work failed ends; the service starts another."""
        try:
            with contextlib.suppress(RuntimeFailure):
                opened = asyncio.create_task(asyncio.sleep(0))
                await supervisor._live(self.instance, cast(Edge, self._edge), self._settings, self.ended, opened)
            await asyncio.sleep(_ENDING_SECONDS)
        finally:
            if not self._judge.calm or self.engine.child is None or not self.engine.running:
                self._judge.crashed(self.name, "its last backup failed", self.told_to_end_at)
            elif self.instance.role is not Role.DRAINING:
                self._judge.crashed(self.name, "its start failed", self.told_to_end_at)
            self.process.kill()

    async def _write(self, collection: str, write: str) -> None:
        """Pass the gate as a request does, and tell the judge when it would be answered."""
        makes = collection not in self.engine.disk
        passing = Write(Effect.REPLACE if makes else Effect.POINTS, collection)
        sent = Sent("rest", "PUT", f"/collections/{collection}/points", json.dumps({"w": write}).encode())
        try:
            async with passage(self.gate, passing, str, sent) as state:
                await asyncio.sleep(0.03 * self._rng.random())
                slowly = self._rng.random() < 0.1
                number = self.engine.apply(collection, write, makes=makes)
                state.answer = Answer((number,))
                self.applied[write] = self.instance.lineage.epoch
                await asyncio.sleep((3.0 if slowly else 0.03) * self._rng.random())
                state.outcome = Outcome.APPLIED
        except Refused as refused:
            self.refused_with = refused.reason
        except EngineError:
            return
        else:
            if not self.process.dead:
                self._judge.acknowledge(self, write, asyncio.get_running_loop().time())

    async def _snapshot(self) -> None:
        """Ask for a backup as the agent does."""
        with contextlib.suppress(RuntimeFailure, Busy):
            await self.instance.writing.save("api")

    def _wall_clock(self) -> dt.datetime:
        """Return a wall clock that jumps by up to a day, either way, whenever somebody looks: nobody may notice."""
        seconds = asyncio.get_running_loop().time() + self._wall.uniform(-86_400, 86_400)
        return dt.datetime(2026, 6, 15, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def settings_for(storage: Path, durability: str, **others: str) -> Settings:
    """Return the settings of every simulated container: the product's relations between times, all shorter."""
    return Settings.from_env(
        {
            "BACKUP_URL": "file:///simulated/backup",
            "QDRANT_STORAGE_DIR": str(storage),
            "DURABILITY": durability,
            "HANDOVER_TIMEOUT_SECONDS": "2",
            "HANDOVER_IDLE_SECONDS": "0.5",
            "BACKUP_QUIET_SECONDS": "0.4",
            "BACKUP_MAX_AGE_SECONDS": "1.5",
            "SHUTDOWN_BUDGET_SECONDS": "8",
            **others,
        }
    )


def weather_of(rng: random.Random) -> Weather:
    """Draw a network: a good one, a slow one, or a bad one."""
    kind = rng.random()
    if kind < 0.35:
        return Weather(0.0, 0.0, 0.0)
    if kind < 0.65:
        return Weather(0.0, 0.05, 3.0)
    return Weather(rng.choice((0.02, 0.06, 0.12)), 0.05, 3.0)
