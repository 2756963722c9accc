import asyncio
import datetime as dt
import random
from contextlib import suppress

import pytest

from runtime.errors import RuntimeFailure
from runtime.prune import prune
from runtime.repository import names
from runtime.repository.intact import damaged_packs
from runtime.repository.repository import Repository
from runtime.repository.retention import Policy
from runtime.rollback import rollback
from runtime.run_sink import Progress
from runtime.settings import Settings
from tests.commands.conftest import Made
from tests.support.model_store import ModelBucket, ModelStore

KEEP_ONE = Policy(1, 0, 0, 0, dt.timedelta())


def filled(template: Made) -> ModelBucket:
    """Return a model bucket with the template's objects."""
    bucket = ModelBucket()
    for path in sorted(template.bucket.rglob("*")):
        name = str(path.relative_to(template.bucket))
        if path.is_file() and not name.startswith(".store"):
            bucket.put("maker", "upload", name, path.read_bytes(), 0)
    return bucket


async def both(bucket: ModelBucket, target: str, settings: Settings, seed: int) -> tuple[bool, bool]:
    """Prune and roll back at once, in an order that the seed decides; say who succeeded."""
    dice = random.Random(seed)
    # Mostly one of them runs on while the other rests: the races are between distant steps.
    patience = {"prune": dice.choice([0, 1, 3, 9]), "rollback": dice.choice([0, 1, 3, 9])}

    def store(client: str) -> ModelStore:
        """Return one command's view of the bucket."""

        async def schedule() -> None:
            """Let the other one go on for a while."""
            for _ in range(dice.randint(0, patience[client])):
                await asyncio.sleep(0)

        return ModelStore(bucket, client, schedule=schedule)

    async def pruned() -> None:
        """Keep the newest backup alone."""
        await prune(Repository(store("prune")), KEEP_ONE, Progress(), now=dt.datetime.now(dt.UTC), dry_run=False)

    async def rolled_back() -> None:
        """Go back to one that prune would take."""
        await rollback(Repository(store("rollback")), target, settings, dry_run=False)

    done = await asyncio.gather(pruned(), rolled_back(), return_exceptions=True)
    for outcome in done:
        if outcome is not None and not isinstance(outcome, RuntimeFailure):
            raise outcome
    return done[0] is None, done[1] is None


def test_whatever_the_interleaving_the_newest_backup_is_whole(template: Made) -> None:
    """One of the two sees the other, in 200 interleavings: no commit ever names a pack that is being deleted."""
    settings = Settings.from_env({"BACKUP_URL": "file:///nowhere", "HANDOVER_TIMEOUT_SECONDS": "1"})
    outcomes = set()

    async def run(seed: int) -> None:
        """Run one interleaving and look at what is left."""
        bucket = filled(template)
        outcomes.add(await both(bucket, template.ids[0], settings, seed))
        store = ModelStore(bucket, "afterwards")
        repository = Repository(store)
        state = await repository.head()
        assert state is not None
        assert state.head.clean, seed
        assert state.head.manifest is not None
        newest = await repository.manifest(state.head.manifest, state.head.manifest_sha256)
        there = {info.name: info async for info in repository.objects(names.PACKS)}
        assert damaged_packs(newest, there) == (), f"seed {seed}"

    for seed in range(200):
        asyncio.run(run(seed))
    assert {(True, False), (False, True)} <= outcomes


@pytest.mark.parametrize("dead", ["manifests/", "packs/"])
def test_a_prune_that_dies_leaves_every_backup_whole(template: Made, dead: str) -> None:
    """Whatever was deleted before, each manifest that is left has all its packs."""

    class Died(Exception):
        """The process ends here."""

    async def run(at: int) -> bool:
        """Die at the n-th deletion of the kind; say whether there was one."""
        bucket = filled(template)

        class Mortal(ModelStore):
            """Dies."""

            left = at

            async def delete(self, name: str, generation: int) -> None:
                """Delete, unless it is time."""
                if name.startswith(dead):
                    self.left -= 1
                    if self.left < 0:
                        raise Died
                await super().delete(name, generation)

        store = Mortal(bucket)
        with suppress(Died):
            await prune(Repository(store), KEEP_ONE, Progress(), now=dt.datetime.now(dt.UTC), dry_run=False)
        repository = Repository(ModelStore(bucket, "afterwards"))
        there = {info.name: info async for info in repository.objects(names.PACKS)}
        for name in await repository.manifest_names():
            assert damaged_packs(await repository.manifest(name), there) == ()
        return store.left < 0

    died = [asyncio.run(run(at)) for at in range(4)]
    assert died[0]
    assert not died[-1]
