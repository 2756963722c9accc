"""Where a journal is kept and others come: claims over the dead and the frozen, hand-overs, pruning, going back."""

import asyncio
import datetime as dt
from dataclasses import replace

from runtime.prune import prune
from runtime.repository import names, verdicts
from runtime.repository.head import Head
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.crash_points.clients import ended, point, saved, several, with_a_hole
from tests.crash_points.handovers import Newcoming, Promotion, Yielding, must_take
from tests.crash_points.journals import JournaledScenario
from tests.crash_points.machine import Machine
from tests.crash_points.maintenance import Rollback
from tests.crash_points.scenarios import made, some_backups
from tests.crash_points.stage import Broken, Stage

_LONGEST_SECONDS = 60.0


class JournaledClaim(JournaledScenario):
    """A start over two epochs that nobody sealed."""

    name = "journal, claim over the dead"

    async def prepare(self) -> None:
        """Have two writers that died one after the other, the last with objects beyond one that never came."""
        await made(self.stage, two_dead_writers)

    async def act(self) -> None:
        """Start; what is served is what was acknowledged."""
        await self._open(self.subject)
        await point(self.subject, "films", "a1", "of the claimer")


async def two_dead_writers(stage: Stage) -> None:
    """Write in two epochs and die in each."""
    await some_backups(stage)
    first = stage.machine("second")
    await first.boot()
    await several(first)
    await saved(first)
    await point(first, "films", "b7", "of the second")
    first.process.kill()
    other = stage.machine("third")
    await other.boot()
    await point(other, "films", "b8", "of the third")
    await with_a_hole(other)
    other.process.kill()


class JournaledZombie(JournaledScenario):
    """A start over a writer that stands still and goes on later."""

    name = "journal, claim over a frozen writer"

    async def prepare(self) -> None:
        """Have a writer with objects on their way, which freezes."""
        await some_backups(self.stage)
        self.zombie = self.stage.machine()
        await self.zombie.boot()
        await point(self.zombie, "films", "b7", "of the zombie")
        self.tasks = await with_a_hole(self.zombie)
        self.zombie.process.freeze(30)

    async def act(self) -> None:
        """Start and write."""
        await self._open(self.subject)
        await point(self.subject, "films", "a1", "of the claimer")

    async def afterwards(self, *, done: bool) -> None:
        """Let the zombie go on beside whoever is left; it may write when it has taken over as others do."""
        async with self.zombie.watching():
            await asyncio.sleep(40)
            self.tasks.append(asyncio.create_task(ended(self.zombie.put("games", "h9", "of who thawed"))))
            await asyncio.wait(self.tasks)
        self.zombie.process.kill()
        await super().afterwards(done=done)


class JournaledYielding(JournaledScenario, Yielding):
    """A writer that is asked to hand over."""

    name = "journal, hand-over, the side that yields"


class JournaledNewcoming(JournaledScenario, Newcoming):
    """An instance that starts beside a writer."""

    name = "journal, hand-over, the newcomer's side"


class JournaledPromotion(JournaledScenario, Promotion):
    """A standby that follows another's journal, and then is sent a write."""

    name = "journal, standby promotion"

    async def act(self) -> None:
        """Follow and write."""
        async with self.other.watching(), self.subject.watching(), asyncio.timeout(_LONGEST_SECONDS):
            for number in range(3):
                await self.other.put("books", "f1", f"followed {number}")
                await asyncio.sleep(0.5)
            await asyncio.sleep(1)
            await must_take(self.subject, "books", "w1")


class JournaledPrune(JournaledScenario):
    """Deleting what no kept backup needs, of the journal too."""

    name = "journal, prune"
    retries = True

    async def prepare(self) -> None:
        """Have backups in two epochs, one in the middle verified, and a writer that died."""
        await made(self.stage, much_journal)
        self.verified = self.stage.bucket.committed()[3]

    async def act(self) -> None:
        """Prune, as if much later."""
        policy = Policy(last=1, hourly=0, daily=0, weekly=0, grace=dt.timedelta(0))
        now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        await self.subject.do(prune(self.subject.repository, policy, Progress(), now=now, dry_run=False))

    async def afterwards(self, *, done: bool) -> None:
        """Something was deleted, and of the first epoch the seal is left."""
        await super().afterwards(done=done)
        left = [name for name in self.stage.bucket.objects if name.startswith("journal/00000001/")]
        if done and len(left) != 1:
            raise Broken(f"pruned, and of the first epoch's journal {left} is left")
        if self.verified not in self.stage.bucket.objects:
            raise Broken("the verified backup was deleted")


async def much_journal(stage: Stage) -> None:
    """Write and save in two epochs, verify a backup of the second, and die."""
    await some_backups(stage)
    writer = stage.machine("second")
    await writer.boot()
    for number in range(10):
        await point(writer, "books", "a1", f"text {number}")
    await saved(writer)
    await several(writer)
    await saved(writer)
    await point(writer, "films", "b7", "of the second")
    writer.process.kill()
    identifier = names.manifest_id(stage.bucket.committed()[3]) or ""
    await verdicts.keep(stage.machine().repository, identifier, {"ok": True})


class JournaledRollback(JournaledScenario, Rollback):
    """Going back to an older backup, over what only the journal holds."""

    name = "journal, rollback"
    leads_on = False

    async def prepare(self) -> None:
        """Have backups, a writer that died, and a claimer that let go again before it sealed anything."""
        await made(self.stage, much_journal)
        bucket = self.stage.bucket
        self.first = bucket.committed()[0]
        self.stage.new = bucket.content(self.first)
        head = Head.decode(bucket.objects[names.HEAD].data)
        let_go = replace(head, epoch=head.epoch + 1, holder="another", clean=True, requested_by=None)
        bucket.put("another", "swap", names.HEAD, let_go.encode(), bucket.objects[names.HEAD].generation)

    def _judge(self, machine: Machine, what: str) -> None:
        """Either it was gone back, or all that was acknowledged is there."""
        if machine.engine.state() != self.stage.new:
            if self.stage.done:
                raise Broken(f"{what}: it was gone back, and something else is there")
            super()._judge(machine, what)
