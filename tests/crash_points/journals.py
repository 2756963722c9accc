"""What is interrupted where a journal is kept: writes, backups, claims over a dead or a frozen writer, the end.

Owns the check of these: whatever was interrupted, a fresh start holds every acknowledged write and nothing that was
undone, the next one holds the same, and so does one that has to begin from the oldest backup.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

from runtime.edge.effects import Effect
from runtime.edge.gate import Refused
from runtime.errors import IntegrityError, RuntimeFailure
from runtime.prune import prune
from runtime.repository import names, verdicts
from runtime.repository.head import Head
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.crash_points.handovers import Newcoming, Promotion, Yielding, must_take
from tests.crash_points.machine import Machine
from tests.crash_points.maintenance import Rollback
from tests.crash_points.scenarios import Scenario, change, made, some_backups
from tests.crash_points.stage import Broken, Stage
from tests.support.model_store import Fault, FaultKind, StoredObject

_MOST_TRIES = 60
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
        await written(first, lambda: first.create("afterwards"))
        await written(first, lambda: first.put("afterwards", "a1", "one"))
        if "films/config.json" in first.engine.state():
            await written(first, lambda: first.put("films", "a1", "the last word"))
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

    def _judge(self, machine: Machine, what: str) -> None:
        """Compare what an engine holds with what was acknowledged."""
        if wrong := self.stage.history.wrong(machine.engine.state()):
            raise Broken(f"{what}: {wrong}")


async def written(machine: Machine, write: Callable[[], Awaitable[None]]) -> None:
    """Write until it is acknowledged, as clients do, within a bound."""
    for _ in range(_MOST_TRIES):
        try:
            await write()
        except (Refused, RuntimeFailure):
            await asyncio.sleep(1)
        else:
            return
    raise Broken(f"{machine.process.name} takes no writes")


async def several(machine: Machine) -> None:
    """Write in every way, some things over and over, some at once."""

    def point(collection: str, name: str, content: str) -> Awaitable[None]:
        """Write a point until it is acknowledged."""
        return written(machine, lambda: machine.put(collection, name, content))

    def deletion(collection: str, name: str) -> Awaitable[None]:
        """Delete a point until that is acknowledged."""
        arguments = {"collection": collection, "point": name}
        return written(machine, lambda: machine.write(Effect.POINTS, collection, "delete", arguments))

    await point("films", "a1", "one")
    await deletion("films", "b1")
    await asyncio.gather(*(point("songs", "x1", f"of {number}") for number in range(4)), point("games", "x1", "beside"))
    await written(machine, lambda: machine.put("books", "s1", "in the other shard", 1))
    await deletion("songs", "x1")
    await written(machine, lambda: machine.write(Effect.REPLACE, "plays", "drop", {"collection": "plays"}))
    await written(machine, lambda: machine.create("plays"))
    await point("plays", "c1", "of the new one")
    await written(machine, lambda: machine.write(Effect.CATALOG, None, "alias", {"aliases": {"the last": "films"}}))
    await point("films", "a1", "two")


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
                written(subject, lambda: subject.put("films", "a1", f"before {number}")),
                saved(subject),
                written(subject, lambda: subject.put("songs", "a1", f"beside {number}")),
            )
            await written(subject, lambda: subject.put("films", "a1", f"after {number}"))


async def saved(machine: Machine) -> None:
    """Take a backup, if there is a moment for one."""
    await machine.do(machine.instance.writing.save("test", must=True))


class JournaledFinish(JournaledWrites):
    """The end on SIGTERM, with writes unsaved and one without an answer."""

    name = "journal, finish"

    async def act(self) -> None:
        """Write and end."""
        await written(self.subject, lambda: self.subject.put("films", "a1", "the last"))
        await self.subject.finish()


class JournaledClaim(JournaledScenario):
    """A start over two epochs that nobody sealed."""

    name = "journal, claim over the dead"

    async def prepare(self) -> None:
        """Have two writers that died one after the other, the last with objects beyond one that never came."""
        await made(self.stage, two_dead_writers)

    async def act(self) -> None:
        """Start; what is served is what was acknowledged."""
        await self.subject.boot()
        self._judge(self.subject, "the start")
        await written(self.subject, lambda: self.subject.put("films", "a1", "of the claimer"))


async def two_dead_writers(stage: Stage) -> None:
    """Write in two epochs and die in each."""
    await some_backups(stage)
    first = stage.machine("second")
    await first.boot()
    await several(first)
    await saved(first)
    await written(first, lambda: first.put("films", "b7", "of the second"))
    first.process.kill()
    other = stage.machine("third")
    await other.boot()
    await written(other, lambda: other.put("films", "b8", "of the third"))
    await with_a_hole(other)
    other.process.kill()


async def with_a_hole(machine: Machine) -> list[asyncio.Task[None]]:
    """Write three times into three objects, of which the first does not arrive as long as the process stands still."""
    last = [0]

    def late(_number: int, verb: str, name: str) -> Fault | None:
        """Let the next object wait."""
        if verb != "write_new" or not name.startswith("journal/"):
            return None
        last[0] += 1
        return Fault(FaultKind.DELAY, 5.0) if last[0] == 1 else None

    machine.store.plan = late
    tasks = []
    for number in range(3):
        writing = machine.put("games", f"h{number}", "beyond a hole")
        tasks.append(asyncio.create_task(ended(writing)))
        await asyncio.sleep(0.1)
    return tasks


async def ended(write: Awaitable[None]) -> None:
    """Wait for a write, whatever becomes of it: the history notes what was acknowledged."""
    try:
        await write
    except BaseException:  # noqa: BLE001  its process may be dead
        return


class JournaledZombie(JournaledScenario):
    """A start over a writer that stands still and goes on later."""

    name = "journal, claim over a frozen writer"

    async def prepare(self) -> None:
        """Have a writer with objects on their way, which freezes."""
        await some_backups(self.stage)
        self.zombie = self.stage.machine()
        await self.zombie.boot()
        await written(self.zombie, lambda: self.zombie.put("films", "b7", "of the zombie"))
        self.tasks = await with_a_hole(self.zombie)
        self.zombie.process.freeze(30)

    async def act(self) -> None:
        """Start and write."""
        await self.subject.boot()
        self._judge(self.subject, "the start")
        await written(self.subject, lambda: self.subject.put("films", "a1", "of the claimer"))

    async def afterwards(self, *, done: bool) -> None:
        """Let the zombie go on beside whoever is left; it may write when it has taken over as others do."""
        async with self.zombie.watching():
            await asyncio.sleep(40)
            self.tasks.append(asyncio.create_task(ended(self.zombie.put("games", "h9", "of who thawed"))))
            await asyncio.wait(self.tasks)
        self.zombie.process.kill()
        await super().afterwards(done=done)


class JournaledOpaque(JournaledScenario):
    """A change that only a backup can hold, beside other writes."""

    name = "journal, opaque change"
    leads_on = False

    async def prepare(self) -> None:
        """Have a writer with writes that no backup has."""
        await some_backups(self.stage)
        await self.subject.boot()
        await written(self.subject, lambda: self.subject.put("films", "a1", "before"))

    async def act(self) -> None:
        """Recover a collection while others write."""
        subject = self.subject
        arguments = {"collection": "plays", "point": "r1", "content": "recovered"}
        await asyncio.gather(
            written(subject, lambda: subject.write(Effect.RECOVER, "plays", "recover", arguments)),
            written(subject, lambda: subject.put("plays", "r2", "beside")),
            written(subject, lambda: subject.put("films", "a1", "beside")),
        )
        await written(subject, lambda: subject.put("plays", "r3", "after"))


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
        await written(subject, lambda: subject.put("films", "a2", "over it"))


class JournaledChange(JournaledScenario):
    """A hand-over's side that yields, with everything in the journal."""

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
        async with asyncio.timeout(_MOST_TRIES):
            while subject.instance.writing.unsaved_count and not work.done() and not subject.process.dead:
                await asyncio.sleep(0.1)
        await written(subject, lambda: subject.put("films", "a1", "after"))
        work.cancel()


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
        async with self.other.watching(), self.subject.watching(), asyncio.timeout(_MOST_TRIES):
            for number in range(3):
                await self.other.put("books", "f1", f"followed {number}")
                await asyncio.sleep(0.5)
            await asyncio.sleep(1)
            await must_take(self.subject, "books", "w1")


class JournaledStart(JournaledScenario):
    """The first start of all, with the first writes."""

    name = "journal, start of a new lineage"

    async def prepare(self) -> None:
        """Have an empty bucket."""

    async def act(self) -> None:
        """Start, write and save."""
        subject = self.subject
        await subject.boot()
        await written(subject, lambda: subject.create("films"))
        await written(subject, lambda: subject.put("films", "a1", "the first"))
        await saved(subject)
        await written(subject, lambda: subject.put("films", "a1", "the second"))


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
        await written(writer, lambda: writer.put("books", "a1", f"text {number}"))
    await saved(writer)
    await several(writer)
    await saved(writer)
    await written(writer, lambda: writer.put("films", "b7", "of the second"))
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
