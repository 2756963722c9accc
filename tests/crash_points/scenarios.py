"""What is interrupted at every point: starts, backups, and the end.

A scenario's `prepare` runs without faults, its `act` with one; `act` returns when what it did is promised. One that
can be tried again is, in the same process.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from runtime.edge.effects import Effect
from runtime.repository.head import Head
from tests.crash_points.engine import State
from tests.crash_points.machine import Machine
from tests.crash_points.stage import Broken, NotPromised, Stage
from tests.crash_points.written import History
from tests.support.model_store import StoredObject

_COLLECTIONS = ("books", "films", "games", "music", "plays", "songs")
_LONGEST_SECONDS = 60.0

_MADE: dict[object, tuple[dict[str, StoredObject], list[dict[str, Any]], int, State, History]] = {}


class Scenario:
    """One thing that is interrupted. Made anew for every run."""

    name: ClassVar[str]
    retries: ClassVar[bool] = False
    durability: ClassVar[str] = "snapshot"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.durability = self.durability
        self.subject = stage.machine(trapped=True)

    async def prepare(self) -> None:
        """Bring everything to where it starts."""

    async def act(self) -> None:
        """Do it."""

    async def afterwards(self, *, done: bool) -> None:
        """Look at what only this scenario knows, with the trap disarmed; by default the process is gone."""
        del done
        self.subject.process.kill()

    async def check(self) -> None:
        """Look at what must hold whatever was interrupted."""
        await self.stage.check()


class StartNew(Scenario):
    """The first start of all."""

    name = "start of a new lineage"

    async def prepare(self) -> None:
        """Have an empty bucket."""
        self.stage.old = self.stage.new = {"aliases": "{}"}

    async def act(self) -> None:
        """Start."""
        await self.subject.boot()


class StartRestore(Scenario):
    """A start after a clean end."""

    name = "start with a restore"

    async def prepare(self) -> None:
        """Have backups."""
        await some_backups(self.stage)

    async def act(self) -> None:
        """Start; what is served is the newest backup."""
        await self.subject.boot()
        if self.subject.engine.state() != self.stage.new:
            raise Broken("the start was not of the newest backup")


class StartAfterCrash(StartRestore):
    """A start after a writer died."""

    name = "start after a crash"

    async def prepare(self) -> None:
        """Have backups, and a writer that is dead."""
        await some_backups(self.stage)
        dead = self.stage.machine()
        await dead.boot()
        await dead.put("books", "z1", "never saved")
        dead.process.kill()


class StartFallback(StartRestore):
    """A start when the newest backup is damaged."""

    name = "start with a fallback"

    async def prepare(self) -> None:
        """Have backups, the newest with a wrong byte."""
        stage = self.stage
        await some_backups(stage)
        older, newest = stage.bucket.committed()[-2:]
        stage.old = stage.new = stage.bucket.content(older)
        stage.head_restores = False
        packs = json.loads(stage.bucket.objects[newest].data)["packs"]
        before = json.loads(stage.bucket.objects[older].data)["packs"]
        pack = min(packs.keys() - before.keys())
        there = stage.bucket.objects[pack]
        damaged = there.data[:600].replace(b"text", b"tost") + there.data[600:]
        if damaged == there.data:
            raise Broken("nothing was damaged")
        stage.bucket.objects[pack] = StoredObject(damaged, there.generation, there.crc32c)


class Backup(Scenario):
    """A first backup, of everything."""

    name = "backup, full"
    retries = True

    async def prepare(self) -> None:
        """Have a writer with a lot unsaved."""
        await self.subject.boot()
        self.stage.old = self.subject.engine.state()
        await fill(self.subject, _COLLECTIONS)
        self.stage.new = self.subject.engine.state()

    async def act(self) -> None:
        """Save."""
        await self.subject.save()


class WideBackup(Backup):
    """A first backup of many collections."""

    name = "backup, many collections"

    async def prepare(self) -> None:
        """Have a writer with many collections unsaved."""
        await self.subject.boot()
        self.stage.old = self.subject.engine.state()
        await fill(self.subject, [f"collection {number}" for number in range(12)])
        self.stage.new = self.subject.engine.state()


class Increment(Backup):
    """A backup of changes of every kind."""

    name = "backup, increment"

    async def prepare(self) -> None:
        """Have a writer that restored, and then changed, added, deleted and made anew."""
        await some_backups(self.stage)
        await self.subject.boot()
        await change(self.subject)
        self.stage.new = self.subject.engine.state()


class NothingToSave(Backup):
    """A backup when nothing was written."""

    name = "backup, nothing"

    async def prepare(self) -> None:
        """Have a writer that only restored."""
        await some_backups(self.stage)
        await self.subject.boot()


class ScheduledBackup(Increment):
    """The writer's own schedule, which tries again by itself."""

    name = "backup, by schedule"
    retries = False

    async def act(self) -> None:
        """Wait until everything is saved."""
        work = self.subject.process.spawn(self.subject.instance.writing.run())
        async with asyncio.timeout(_LONGEST_SECONDS):
            while self.subject.instance.writing.unsaved_count and not work.done():
                await asyncio.sleep(0.1)
        if work.done():
            await self.subject.do(reraised(work))
        work.cancel()


class Finish(Increment):
    """The end on SIGTERM."""

    name = "finish"
    retries = False

    async def act(self) -> None:
        """End. What could not be saved is told, not raised."""
        await self.subject.finish()
        if not Head.decode(self.stage.bucket.objects["HEAD"].data).clean:
            raise NotPromised("the end could not save everything")


class FinishUnwritten(Finish):
    """The end of a writer that had no writes: it only lets go."""

    name = "finish, nothing to save"

    async def prepare(self) -> None:
        """Have a writer that only restored."""
        await some_backups(self.stage)
        await self.subject.boot()


async def reraised(work: asyncio.Task[None]) -> None:
    """Wait for a task that is done."""
    await work


async def some_backups(stage: Stage) -> None:
    """Have a lineage with three backups and a clean end."""
    await made(stage, _make_backups)


async def made(stage: Stage, make: Callable[[Stage], Awaitable[None]]) -> None:
    """Have the bucket, the state and the history that `make` makes. They are made once and copied."""
    key = (make, stage.durability)
    if key not in _MADE:
        await make(stage)
        bucket, history = stage.bucket, History()
        history.take(stage.history)
        _MADE[key] = (dict(bucket.objects), list(bucket.heads), bucket.last_generation, stage.new, history)
    objects, heads, stage.bucket.last_generation, stage.new, history = _MADE[key]
    stage.bucket.objects, stage.bucket.heads = dict(objects), list(heads)
    stage.old = stage.new
    stage.history.take(history)


async def _make_backups(stage: Stage) -> None:
    """Make the lineage."""
    writer = stage.machine("first")
    await writer.boot()
    await fill(writer, _COLLECTIONS)
    await writer.save()
    await writer.put("books", "a1", "text changed")
    await writer.save()
    await writer.put("films", "b9", "text added")
    await writer.put("books", "a2", "text changed too")
    await writer.finish()
    stage.new = writer.engine.state()


async def fill(machine: Machine, collections: "list[str] | tuple[str, ...]") -> None:
    """Make collections with a few points, the first in two shards and with an alias."""
    for number, name in enumerate(collections):
        await machine.create(name, shards=2 if number == 0 else 1)
        await machine.put(name, "a1", f"text one of {name}")
        await machine.put(name, "b1", f"text two of {name}", shard=1 if number == 0 else 0)
    first = collections[0]
    await machine.write(Effect.CATALOG, None, "alias", {"aliases": {"the first": first}})


async def change(machine: Machine) -> None:
    """Change what is there in every way."""
    await machine.put("books", "a1", "text changed again")
    await machine.put("games", "c1", "text in a new segment")
    await machine.write(Effect.REPLACE, "music", "drop", {"collection": "music"})
    await machine.write(Effect.REPLACE, "plays", "drop", {"collection": "plays"})
    await machine.create("plays", shards=2)
    await machine.put("plays", "a1", "text of another collection", shard=1)
    await machine.create("new")
    await machine.put("new", "a1", "text that is new")
    await machine.write(Effect.CATALOG, None, "alias", {"aliases": {"the first": "new"}})
