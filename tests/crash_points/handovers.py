"""Hand-overs that are interrupted on either side."""

import asyncio

from runtime.edge.gate import Refused
from runtime.errors import RuntimeFailure
from runtime.instance import Role
from tests.crash_points.machine import Machine
from tests.crash_points.scenarios import Scenario, change, some_backups
from tests.crash_points.stage import Broken, NotPromised

_LONGEST_SECONDS = 60.0


class Yielding(Scenario):
    """A writer that is asked to hand over."""

    name = "hand-over, the side that yields"

    async def prepare(self) -> None:
        """Have a writer with changes unsaved."""
        await some_backups(self.stage)
        await self.subject.boot()
        await change(self.subject)
        self.stage.new = self.subject.engine.state()
        self.newcomer = self.stage.machine()

    async def act(self) -> None:
        """Let another start; whatever becomes of the writer, it must come to serve."""
        async with self.subject.watching(), asyncio.timeout(_LONGEST_SECONDS):
            await self.newcomer.boot()
        if self.newcomer.engine.state() not in (self.stage.old, self.stage.new):
            raise Broken("the newcomer serves a mix")
        if self.newcomer.engine.state() != self.stage.new:
            raise NotPromised("the writer was taken for dead")

    async def afterwards(self, *, done: bool) -> None:
        """End the newcomer as it should; a writer that says it handed over handed everything over."""
        instance = self.subject.instance
        if instance.role is Role.STANDBY and not instance.fenced and not self.subject.store.dead and not done:
            raise Broken("the writer handed over, and the newcomer lacks something")
        await super().afterwards(done=done)
        if self.newcomer.instance.role is Role.WRITER:
            await self.newcomer.finish()
        else:
            self.newcomer.process.kill()


class Newcoming(Scenario):
    """An instance that starts beside a writer."""

    name = "hand-over, the newcomer's side"

    async def prepare(self) -> None:
        """Have a writer with changes unsaved."""
        await some_backups(self.stage)
        self.writer = self.stage.machine()
        await self.writer.boot()
        await change(self.writer)
        self.stage.old = self.stage.new = self.writer.engine.state()

    async def act(self) -> None:
        """Start."""
        async with self.writer.watching(), asyncio.timeout(_LONGEST_SECONDS):
            await self.subject.boot()

    async def afterwards(self, *, done: bool) -> None:
        """Whoever is left takes writes, and has everything that was acknowledged."""
        left = self.subject if done else self.writer
        other = self.writer if done else self.subject
        other.process.kill()
        async with left.watching():
            await must_take(left, "books", "y1")
        self.stage.old = self.stage.new = left.engine.state()
        if "music/config.json" in self.stage.new or "new/config.json" not in self.stage.new:
            raise Broken("what was changed before the hand-over is not there")
        await left.finish()


class Promotion(Scenario):
    """A standby that is sent a write."""

    name = "standby promotion"

    async def prepare(self) -> None:
        """Have a writer that handed over to another, which has had its writes."""
        await some_backups(self.stage)
        await self.subject.boot()
        await change(self.subject)
        self.other = self.stage.machine()
        async with self.subject.watching():
            await self.other.boot()
        await self.other.put("songs", "x1", "text of the other")
        self.stage.old = self.stage.new = self.other.engine.state()
        await asyncio.sleep(1)

    async def act(self) -> None:
        """Write to the standby."""
        async with self.other.watching(), self.subject.watching(), asyncio.timeout(_LONGEST_SECONDS):
            await must_take(self.subject, "books", "w1")

    async def afterwards(self, *, done: bool) -> None:
        """Let the one that is left go on; what either had acknowledged is there."""
        left = self.subject if done else self.other
        (self.other if done else self.subject).process.kill()
        async with left.watching():
            await must_take(left, "books", "y1")
        self.stage.old = self.stage.new = left.engine.state()
        if "songs/0/segments/s-x/x1" not in self.stage.new or (
            done and "books/0/segments/s-w/w1" not in self.stage.new
        ):
            raise Broken("what was acknowledged is not there")
        await left.finish()


async def must_take(machine: Machine, collection: str, point: str) -> None:
    """Write until it is acknowledged, as clients do, within a bound."""
    for _ in range(int(_LONGEST_SECONDS)):
        try:
            await machine.put(collection, point, "text")
        except (Refused, RuntimeFailure):
            await asyncio.sleep(1)
        else:
            return
    raise Broken("nobody takes writes")
