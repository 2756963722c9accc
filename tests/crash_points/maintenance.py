"""Commands that are interrupted: they change the repository beside the instances."""

import datetime as dt
from typing import ClassVar

from runtime import repair, rollback
from runtime.errors import IntegrityError, NothingThere
from runtime.prune import prune
from runtime.repository import names, verdicts
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.crash_points.scenarios import Scenario, made, some_backups
from tests.crash_points.stage import Broken, Stage
from tests.support.model_store import StoredObject


class Prune(Scenario):
    """Deleting what is not kept."""

    name = "prune"
    retries = True

    async def prepare(self) -> None:
        """Have six backups, one of them verified, and what a dead writer left behind."""
        await made(self.stage, more_backups)
        self.verified = self.stage.bucket.committed()[1]
        orphan = names.manifest(names.backup_id(1, 3))
        newest = self.stage.bucket.objects[self.stage.bucket.committed()[-1]]
        self.stage.bucket.objects.setdefault(orphan, StoredObject(newest.data, newest.generation, newest.crc32c))

    async def act(self) -> None:
        """Prune, as if much later."""
        policy = Policy(last=1, hourly=0, daily=0, weekly=0, grace=dt.timedelta(0))
        now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        await self.subject.do(prune(self.subject.repository, policy, Progress(), now=now, dry_run=False))

    async def afterwards(self, *, done: bool) -> None:
        """Every manifest that is left has its packs; the newest and the verified backup are left."""
        await super().afterwards(done=done)
        left = [name for name in self.stage.bucket.committed() if name in self.stage.bucket.objects]
        if done and len(left) > 3:
            raise Broken(f"pruned, and {len(left)} backups are left")
        for name in left:
            self.stage.bucket.content(name)
        if self.stage.bucket.committed()[-1] not in left or self.verified not in left:
            raise Broken("the newest or the verified backup was deleted")


async def more_backups(stage: Stage) -> None:
    """Make a lineage of six backups, the second verified."""
    await some_backups(stage)
    writer = stage.machine("second")
    await writer.boot()
    for number in range(3):
        await writer.put("books", "a1", f"text {number}")
        await writer.save()
    await writer.finish()
    stage.new = writer.engine.state()
    identifier = names.manifest_id(stage.bucket.committed()[1]) or ""
    await verdicts.keep(writer.repository, identifier, {"ok": True})


class Rollback(Scenario):
    """Going back to an older backup."""

    name = "rollback"

    async def prepare(self) -> None:
        """Have backups."""
        await some_backups(self.stage)
        self.first = self.stage.bucket.committed()[0]
        self.stage.new = self.stage.bucket.content(self.first)

    async def act(self) -> None:
        """Go back to the first."""
        identifier = names.manifest_id(self.first) or ""
        await self.subject.do(
            rollback.rollback(self.subject.repository, identifier, self.subject.settings, dry_run=False)
        )


class Repair(Scenario):
    """Making HEAD anew when it is lost."""

    name = "repair of a lost HEAD"
    retries = True
    damage: ClassVar[bytes | None] = None

    async def prepare(self) -> None:
        """Have backups and no HEAD."""
        await some_backups(self.stage)
        there = self.stage.bucket.objects.pop(names.HEAD)
        if self.damage is not None:
            self.stage.bucket.objects[names.HEAD] = StoredObject(self.damage, there.generation, there.crc32c)

    async def act(self) -> None:
        """Look and carry out."""

        async def both() -> None:
            """Plan, then do."""
            repository = self.subject.repository
            try:
                await repair.carry_out(repository, await repair.plan(repository))
            except NothingThere:
                return  # an attempt before took effect after all

        await self.subject.do(both())

    async def afterwards(self, *, done: bool) -> None:
        """As long as HEAD is lost nothing starts, least of all empty; another repair mends it."""
        await super().afterwards(done=done)
        if done:
            return
        other = self.stage.machine()
        try:
            await other.boot()
        except IntegrityError:
            await repair.carry_out(other.repository, await repair.plan(other.repository))
        other.process.kill()


class RepairDamaged(Repair):
    """Making HEAD anew when it is no HEAD."""

    name = "repair of a damaged HEAD"
    damage = b'{"format": 1, "linea'
