import asyncio

import pytest

from runtime.errors import NotTheWriter, StoreError, StoreUnreachable
from runtime.repository import names
from runtime.repository.head import Request
from runtime.repository.repository import Repository
from tests.support import manifests
from tests.support.lineage_members import LOST, World, run, seen, taken_over, writer
from tests.support.model_store import FaultKind, ModelStore


@pytest.mark.parametrize("clean", [False, True])
def test_commits_are_numbered_without_gaps(clean: bool) -> None:  # noqa: FBT001
    """Each commit is the next number, HEAD names its manifest by hash, and `clean` is said when it is meant."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        for seq in (1, 2, 3):
            name = await instance.commit(clean=clean and seq == 3)
            assert name == manifests.manifest_name(1, seq)
        head = world.head()
        assert (head.seq, head.manifest, head.clean) == (3, manifests.manifest_name(1, 3), clean)
        await Repository(instance.store).manifest(manifests.manifest_name(1, 3), head.manifest_sha256)
        assert instance.lineage.position("change").seq == 4

    run(story)


@pytest.mark.parametrize("verb", ["write_new", "swap"])
@pytest.mark.parametrize("kind", LOST)
def test_a_commit_whose_reply_was_lost_is_done(verb: str, kind: FaultKind) -> None:
    """A reply lost on the manifest or on HEAD: the commit is found done, or finished; once, with the same number."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        await instance.commit()
        manifest = instance.manifest()
        instance.faults.next(verb, kind)
        try:
            name = await instance.lineage.commit(manifest, clean=False)
        except StoreUnreachable:
            finished = await instance.lineage.finish_pending()
            assert finished is not None
            name, found = finished
            assert found == manifest
        assert (world.head().seq, world.head().manifest) == (2, name)
        assert await instance.lineage.finish_pending() is None
        assert instance.lineage.position("change").seq == 3

    run(story)


@pytest.mark.parametrize("verb", ["write_new", "swap"])
@pytest.mark.parametrize("kind", [FaultKind.FAIL_BEFORE, FaultKind.FAIL_LATE])
def test_a_commit_that_failed_is_finished_before_the_next(verb: str, kind: FaultKind) -> None:
    """What was left half-way gets the number it had, then the next one follows: no gap, nothing twice."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        instance.faults.next(verb, kind)
        pending = instance.manifest()
        with pytest.raises(StoreError):
            await instance.lineage.commit(pending, clean=True)
        finished = await instance.lineage.finish_pending()
        assert finished == (manifests.manifest_name(1, 1), pending)
        assert not world.head().clean
        await asyncio.sleep(0.01)  # a late effect, if there is one, comes now
        await instance.commit()
        assert (world.head().seq, world.head().manifest) == (2, manifests.manifest_name(1, 2))

    run(story)


def test_a_commit_merges_with_a_request() -> None:
    """A request that arrived meanwhile stays in HEAD; the commit is made."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        other = world.instance("b")
        await other.lineage.ask(await seen(other), Request("b", "start"))
        await instance.commit()
        assert (world.head().seq, world.head().requested_by) == (1, Request("b", "start"))
        assert instance.lineage.request == Request("b", "start")

    run(story)


def test_a_fenced_writer_s_pending_commit_is_gone() -> None:
    """What was left half-way is not finished in another's epoch, nor in a later one of its own."""

    async def story(world: World) -> None:
        """Tell it."""
        old = await writer(world)
        old.faults.next("swap", FaultKind.FAIL_BEFORE)
        with pytest.raises(StoreUnreachable):
            await old.commit()
        newer = await taken_over(world)
        await newer.commit(clean=True)
        with pytest.raises(NotTheWriter):
            await old.lineage.finish_pending()
        await old.lineage.claim(await seen(old))
        assert await old.lineage.finish_pending() is None
        assert world.head().manifest == manifests.manifest_name(2, 1)

    run(story)


def test_a_deleted_head_fences() -> None:
    """A HEAD that is gone is nobody's: the writer stops, and makes no new one."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        del world.bucket.objects[names.HEAD]
        with pytest.raises(NotTheWriter):
            await instance.commit()
        assert instance.fenced == 1
        assert names.HEAD not in world.bucket.objects

    run(story)


def test_endless_contention_is_given_up() -> None:
    """A HEAD that changes before every swap ends in an error that says so, not in a loop."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        rival = ModelStore(world.bucket, "rival")

        async def interfere() -> None:
            """Change HEAD's generation before each of the writer's operations."""
            there = world.bucket.objects[names.HEAD]
            await rival.swap(names.HEAD, there.data, there.generation)

        instance.store.schedule = interfere
        with pytest.raises(StoreError, match="times"):
            await instance.lineage.release()
        assert instance.lineage.is_writer

    run(story)
