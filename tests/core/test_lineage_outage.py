import asyncio

import pytest

from runtime.edge.gate import Refused
from runtime.errors import IntegrityError, StoreUnreachable
from runtime.repository import names
from runtime.settings import StoreOutage
from tests.support import manifests
from tests.support.lineage_members import FRESH, World, refused, run, taken_over, writer


def test_a_commit_with_the_store_down_keeps_its_place() -> None:
    """However often finishing fails, the pending commit stays the next."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        pending = instance.manifest()
        instance.faults.down = True
        for attempt in (
            instance.lineage.commit(pending, clean=False),
            *(instance.lineage.finish_pending() for _ in "ab"),
        ):
            with pytest.raises(StoreUnreachable):
                await attempt
        instance.faults.down = False
        assert await instance.lineage.finish_pending() == (manifests.manifest_name(1, 1), pending)

    run(story)


def test_with_the_store_down_writes_are_refused_with_the_reason() -> None:
    """Under `refuse` nothing is acknowledged beyond half the time-out; all is well when the watch has looked again."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        instance.faults.down = True
        await instance.lineage.acknowledge()
        world.clock.now += FRESH
        assert "bucket cannot be asked" in await refused(instance)
        assert instance.lineage.is_writer
        instance.faults.down = False
        assert "bucket cannot be asked" in await refused(instance)
        await instance.lineage.look()
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_with_the_store_down_writes_are_accepted_and_counted_if_so_decided() -> None:
    """Under `accept` each acknowledgement without a fresh HEAD is counted; a damaged HEAD or a fence still refuses."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world, outage="accept")
        instance.faults.down = True
        world.clock.now += FRESH
        for count in (1, 2, 3):
            assert await instance.lineage.acknowledge() == 1
            assert instance.lineage.unconfirmed_count == count
        instance.faults.down = False
        whole = world.bucket.objects[names.HEAD].data
        world.bucket.objects[names.HEAD].data = b"damaged"
        with pytest.raises(IntegrityError):
            await instance.lineage.look()
        assert "bucket cannot be asked" in await refused(instance)
        world.bucket.objects[names.HEAD].data = whole
        await taken_over(world)
        await instance.lineage.look()
        assert await refused(instance) == "this instance is not the writer"
        assert instance.lineage.unconfirmed_count == 3

    run(story)


def test_many_writes_at_once_read_head_once() -> None:
    """Writes that wait for the same answer share it."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.clock.now += FRESH
        before = instance.store.operations
        assert await asyncio.gather(*(instance.lineage.acknowledge() for _ in range(50))) == [1] * 50
        assert instance.store.operations == before + 1

    run(story)


@pytest.mark.parametrize("outage", ["refuse", "accept"])
def test_many_writes_at_once_wait_for_one_failure(outage: StoreOutage) -> None:
    """With the store down, writes that came together wait for its deadline once, not one after the other."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world, outage=outage)
        world.clock.now += FRESH
        instance.faults.down = True
        before = instance.store.operations
        calls = (instance.lineage.acknowledge() for _ in range(50))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert instance.store.operations == before + 1
        if outage == "accept":
            assert answers == [1] * 50
            assert instance.lineage.unconfirmed_count == 50
        else:
            assert all(isinstance(answer, Refused) for answer in answers)

    run(story)


def test_a_cancelled_write_takes_nobody_s_answer_away() -> None:
    """The write that asked first may leave; those that wait with it are answered."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.clock.now += FRESH
        first = asyncio.create_task(instance.lineage.acknowledge())
        others = [asyncio.create_task(instance.lineage.acknowledge()) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [1] * 5

    run(story)
