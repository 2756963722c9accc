"""What is interrupted where a journal is kept: the first start, writes, backups, the end.

Owns the check of these: whatever was interrupted, a fresh start holds every acknowledged write and nothing that was
undone, the next one holds the same, and so does one that has to begin from the oldest backup.
"""

import asyncio
from functools import partial
from typing import ClassVar

from runtime.edge.effects import Effect
from runtime.errors import IntegrityError
from tests.crash_points.clients import ended, point, saved, several, written
from tests.crash_points.machine import Machine
from tests.crash_points.scenarios import Scenario, change, some_backups
from tests.crash_points.stage import Broken
from tests.support.model_store import StoredObject

_LONGEST_SECONDS = 60.0
# By then every effect that comes late has come.
_LATE_SECONDS = 10.0


class JournaledScenario(Scenario):
    """One that is judged by what was acknowledged. `leads_on`: the journal leads from every backup to the end."""

    durability = "journal"
    leads_on: ClassVar[bool] = True

    async def check(self) -> None:
        """Start anew, write, die, start anew; then once more with no backup but the oldest."""
        stage = self.stage
        await asyncio.sleep(_LATE_SECONDS)
        first = stage.machine()
        await first.boot()
        self._judge(first, "a fresh start")
        await written(first, partial(first.create, "afterwards"))
        await point(first, "afterwards", "a1", "one")
        if "films/config.json" in first.engine.state():
            await point(first, "films", "a1", "the last word")
        expected = first.engine.state()
        first.process.kill()
        await asyncio.sleep(_LATE_SECONDS)
        second = stage.machine()
        await second.boot()
        if second.engine.state() != expected:
            raise Broken("the second start holds something else than the first")
        await second.finish()
        stage.check_history()
        await self._check_oldest(expected)

    async def _check_oldest(self, expected: dict[str, str]) -> None:
        """Damage every backup but the oldest: the journal must lead from it to the same, or the start is refused."""
        bucket = self.stage.bucket
        there = [name for name in bucket.committed() if name in bucket.objects]
        for name in there[1:]:
            bucket.objects[name] = StoredObject(b"{}", bucket.objects[name].generation, bucket.objects[name].crc32c)
        third = self.stage.machine()
        try:
            await third.boot()
        except IntegrityError:
            if self.leads_on:
                raise
            return
        if third.engine.state() != expected:
            raise Broken(f"from {there[0]} the journal leads somewhere else")

    async def _open(self, machine: Machine) -> None:
        """Start a machine and compare what it holds: from then on that is what was written."""
        await machine.boot()
        self._judge(machine, "the start")
        self.stage.history.settle(machine.engine.state())

    def _judge(self, machine: Machine, what: str) -> None:
        """Compare what an engine holds with what was acknowledged."""
        if wrong := self.stage.history.wrong(machine.engine.state()):
            raise Broken(f"{what}: {wrong}")


class JournaledStart(JournaledScenario):
    """The first start of all, with the first writes."""

    name = "journal, start of a new lineage"

    async def prepare(self) -> None:
        """Have an empty bucket."""

    async def act(self) -> None:
        """Start, write and save."""
        subject = self.subject
        await subject.boot()
        await written(subject, partial(subject.create, "films"))
        await point(subject, "films", "a1", "the first")
        await saved(subject)
        await point(subject, "films", "a1", "the second")


class JournaledWrites(JournaledScenario):
    """A writer's writes."""

    name = "journal, writes"

    async def prepare(self) -> None:
        """Have a writer."""
        await some_backups(self.stage)
        await self.subject.boot()

    async def act(self) -> None:
        """Write."""
        await several(self.subject)


class JournaledBackup(JournaledWrites):
    """Backups between and beside writes."""

    name = "journal, backups"

    async def act(self) -> None:
        """Save while others write, twice."""
        subject = self.subject
        for number in range(2):
            await asyncio.gather(
                point(subject, "films", "a1", f"before {number}"),
                saved(subject),
                point(subject, "songs", "a1", f"beside {number}"),
            )
            await point(subject, "films", "a1", f"after {number}")


class JournaledChange(JournaledScenario):
    """A backup that is due, of changes of every kind, all in the journal already."""

    name = "journal, backup by schedule"

    async def prepare(self) -> None:
        """Have a writer that changed everything."""
        await some_backups(self.stage)
        await self.subject.boot()
        await change(self.subject)

    async def act(self) -> None:
        """Wait until everything is saved, and something more is written."""
        subject = self.subject
        work = subject.process.spawn(subject.instance.writing.run())
        async with asyncio.timeout(_LONGEST_SECONDS):
            while subject.instance.writing.unsaved_count and not work.done() and not subject.process.dead:
                await asyncio.sleep(0.1)
        await point(subject, "films", "a1", "after")
        work.cancel()


class JournaledFinish(JournaledWrites):
    """The end on SIGTERM."""

    name = "journal, finish"

    async def act(self) -> None:
        """Write and end."""
        await point(self.subject, "films", "a1", "the last")
        await self.subject.finish()


class JournaledOpaque(JournaledScenario):
    """A change that only a backup can hold, beside other writes."""

    name = "journal, opaque change"
    leads_on = False

    async def prepare(self) -> None:
        """Have a writer with writes that no backup has."""
        await some_backups(self.stage)
        await self.subject.boot()
        await point(self.subject, "films", "a1", "before")

    async def act(self) -> None:
        """Recover a collection while others write."""
        subject = self.subject
        arguments = {"collection": "plays", "point": "r1", "content": "recovered"}
        await asyncio.gather(
            written(subject, partial(subject.write, Effect.RECOVER, "plays", "recover", arguments)),
            point(subject, "plays", "r2", "beside"),
            point(subject, "films", "a1", "beside"),
        )
        await point(subject, "plays", "r3", "after")


class JournaledUnanswered(JournaledScenario):
    """A write that has no answer."""

    name = "journal, write without an answer"
    leads_on = False

    async def prepare(self) -> None:
        """Have a writer."""
        await some_backups(self.stage)
        await self.subject.boot()

    async def act(self) -> None:
        """Lose an answer; what is written over it is acknowledged when a backup holds both."""
        subject = self.subject
        subject.answers_get_lost = True
        lost = asyncio.create_task(ended(subject.put("films", "a1", "unheard of")))
        await asyncio.sleep(0)
        await lost
        subject.answers_get_lost = False
        await point(subject, "films", "a2", "over it")
