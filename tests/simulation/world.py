"""One seeded run: what happens to the containers, when, and how it must all end well.

Owns the draw of events and the order of a run. Everything random comes from the seed.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Settings
from tests.simulation.container import Container, settings_for, weather_of
from tests.simulation.engine import COLLECTIONS
from tests.simulation.judge import Judge, JudgedBucket, Violation
from tests.simulation.network import NetworkStore
from tests.support.processes import Process, ProcessLoop
from tests.support.virtual_time import run

_LONGEST_RUN_SECONDS = 400.0
_RECOVERY_SECONDS = 40.0
_EVENTS = 14
_MEAN_GAP_SECONDS = 0.35


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    seed: int
    acknowledged: int
    excused: int
    commits: int
    handed_over: int
    forced: int
    longest_unsaved: float
    trace: list[tuple[float, str, str, str]]


class World:
    """The bucket, the network and the containers of one run."""

    def __init__(self, seed: int, loop: ProcessLoop, settings: Settings) -> None:
        self._rng = random.Random(seed)
        self._loop = loop
        self._settings = settings
        self._bucket = JudgedBucket()
        self._bucket.trace = []
        self._bucket.now = loop.time  # type: ignore[method-assign]
        self.judge = self._bucket.judge = Judge(self._bucket, settings.keeps_journal)
        self._weather = weather_of(self._rng)
        self._slots: list[Container | None] = [None] * self._rng.choice((2, 2, 3))
        self._traffic = 0
        self._made = 0
        self._written = 0
        self._rough = self._rng.random() < 0.6
        self.judge.calm = self._weather.clear

    async def live(self) -> None:
        """Let things happen, then let them calm down, and compare."""
        self._start(0)
        await self._some_time()
        for _ in range(_EVENTS):
            self._draw()()
            await self._some_time()
            self._check()
        await self._recover()
        self.judge.finished()

    def outcome(self, seed: int) -> Outcome:
        """Return what the run came to."""
        judge = self.judge
        return Outcome(
            seed,
            len(judge.acknowledged),
            len(judge.excused),
            judge.commits,
            judge.handed_over,
            judge.forced,
            judge.longest_unsaved,
            self._bucket.trace,
        )

    def _check(self) -> None:
        """Stop at the first thing that is broken."""
        if self.judge.violations:
            raise Violation("; ".join(self.judge.violations))

    async def _some_time(self) -> None:
        """Wait until the next event."""
        await asyncio.sleep(self._rng.expovariate(1 / _MEAN_GAP_SECONDS))

    def _draw(self) -> Callable[[], None]:
        """Draw what happens next. Rough runs freeze, kill and cut; the others only deploy, stop and write."""
        usual: list[tuple[Callable[[], None], int]] = [
            (self._write, 12),
            (self._deploy, 4),
            (self._stop, 2),
            (self._snapshot, 1),
        ]
        rough = [(self._crash, 2), (self._freeze, 3), (self._engine_dies, 1), (self._outage, 1)]
        events = usual + rough if self._rough else usual
        return self._rng.choices([event for event, _ in events], [weight for _, weight in events])[0]

    def _start(self, slot: int) -> Container:
        """Start a container in a slot; one that ends by itself is followed by another."""
        rng = self._rng
        self._made += 1
        process = Process(
            self._loop,
            f"i{self._made}",
            rate=rng.uniform(0.95, 1.05),
            offset=rng.uniform(0, 1e6),
        )
        store = NetworkStore(self._bucket, process, self._weather, rng)
        container = Container(process, store, self._settings, self.judge, rng)
        self._slots[slot] = container
        return container

    def _alive(self) -> list[Container]:
        """Return the containers that run."""
        return [container for container in self._slots if container is not None and container.alive]

    def _write(self) -> None:
        """Send a few writes to where the traffic goes now."""
        if self._rng.random() < 0.3:
            self._traffic = self._rng.randrange(len(self._slots))
        target = self._slots[self._traffic]
        if target is None or not target.alive:
            target = self._start(self._traffic)
        for _ in range(self._rng.choice((1, 1, 2))):
            self._written += 1
            task = target.write(self._rng.choice(COLLECTIONS), f"w{self._written}")
            if self._rng.random() < 0.05:
                self._loop.call_later(0.1 * self._rng.random(), task.cancel)

    def _deploy(self) -> None:
        """Start one more instance where there is room, and send it the traffic."""
        free = [number for number, slot in enumerate(self._slots) if slot is None or not slot.alive]
        if free:
            self._start(free[0])
            if self._rng.random() < 0.7:
                self._traffic = free[0]

    def _stop(self) -> None:
        """Send one the signal to end."""
        if alive := self._alive():
            self._rng.choice(alive).end(self._loop.time())

    def _snapshot(self) -> None:
        """Ask one for a backup."""
        if alive := self._alive():
            self._rng.choice(alive).snapshot()

    def _crash(self) -> None:
        """Let one die."""
        if alive := self._alive():
            self._rng.choice(alive).crash(self._loop.time())

    def _freeze(self) -> None:
        """Let one stand still, often in the middle of a write, and let another want its place."""
        if alive := self._alive():
            one, rng = self._rng.choice(alive), self._rng
            if rng.random() < 0.5:
                self._written += 1
                one.write(rng.choice(COLLECTIONS), f"w{self._written}")
                seconds = rng.choice((0.3, 1.0, 2.5, 6.0)) * rng.random()
                self._loop.call_later(0.08 * rng.random(), one.process.freeze, seconds)
                self._deploy()
            else:
                one.process.freeze(rng.choice((0.3, 1.0, 2.5, 6.0)) * rng.random())

    def _engine_dies(self) -> None:
        """Let one lose its engine."""
        if alive := self._alive():
            self._rng.choice(alive).engine.die()

    def _outage(self) -> None:
        """Let the bucket be out of reach."""
        self.judge.calm = False
        self._weather.outage_until = self._loop.time() + self._rng.choice((0.5, 2.0, 5.0)) * self._rng.random()

    async def _recover(self, tries: int = 3) -> None:
        """With the network well and one instance left, writes must soon be taken, and a last stop saves everything.

        With the journal a stop may leave writes to it when the bucket is being tried again; then the next one counts.
        """
        self._weather.clears_up()
        alive = self._alive()
        chosen = self._rng.choice(alive) if alive else self._start(0)
        for other in alive:
            if other is not chosen:
                other.end(self._loop.time())
        since, until = self._loop.time(), self._loop.time() + _RECOVERY_SECONDS
        while len(self._alive()) > 1 or not self.judge.heard_from(chosen.name, since):
            if not chosen.alive:
                chosen = self._start(0)
            self._written += 1
            chosen.write(COLLECTIONS[0], f"w{self._written}")
            await asyncio.sleep(0.5)
            self._check()
            if self._loop.time() > until:
                raise Violation(f"{chosen.name} ({chosen.instance.role}) takes no write; HEAD is {self.judge.head}")
        chosen.end(self._loop.time())
        await asyncio.wait([chosen.life], timeout=_RECOVERY_SECONDS)
        head = self.judge.head
        if head is None or not head.clean or head.holder != chosen.name:
            if tries > 1 and self._settings.keeps_journal:
                await self._recover(tries - 1)
                return
            raise Violation(f"{chosen.name} ended, and HEAD says {head}")
        await self._restores()

    async def _restores(self) -> None:
        """Start a fresh instance, which must hold exactly what was committed, read from the packs."""
        last = self._start(0)
        until = self._loop.time() + _RECOVERY_SECONDS
        while last.gate.refusal is not None and self._loop.time() < until:
            await asyncio.sleep(0.1)
        found = set().union(*last.engine.disk.values())
        if not last.engine.running or found != self.judge.committed:
            raise Violation(f"restored is {sorted(found)}, committed was {sorted(self.judge.committed)}")
        last.process.kill()


def simulate(seed: int, storage: Path) -> Outcome:
    """Run one seed, with the journal when it is odd. Raises Violation, and whatever else went wrong."""
    loop = ProcessLoop()

    async def program() -> Outcome:
        """Live in the loop."""
        world = World(seed, loop, settings_for(storage, ("snapshot", "journal")[seed % 2]))
        await asyncio.wait_for(world.live(), _LONGEST_RUN_SECONDS)
        return world.outcome(seed)

    return run(program(), loop)
