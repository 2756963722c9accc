import asyncio

import pytest

from runtime.errors import IntegrityError
from runtime.repository import names
from runtime.repository.head import Request
from tests.support.lineage_members import FRESH, TIMEOUT, World, refused, run, seen, taken_over, writer


def test_a_fresh_head_needs_no_reading() -> None:
    """Within half the time-out of HEAD's last reading an acknowledgement asks nobody; after it, HEAD is read."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.clock.now += FRESH - 0.001
        before = instance.store.operations
        await instance.lineage.acknowledge()
        assert instance.store.operations == before
        world.clock.now += 0.001
        await instance.lineage.acknowledge()
        assert instance.store.operations == before + 1

    run(story)


def test_freshness_counts_from_before_the_reading() -> None:
    """A reading that took long is as old as its beginning."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.clock.now += FRESH

        async def slow() -> None:
            """Let the clock go on while the store works."""
            world.clock.now += FRESH / 4

        instance.store.schedule = slow
        assert await instance.lineage.acknowledge() == 1
        instance.store.schedule = _at_once
        world.clock.now += FRESH / 2
        before = instance.store.operations
        await instance.lineage.acknowledge()
        assert instance.store.operations == before + 1

    run(story)


async def _at_once() -> None:
    """Go on."""


def test_a_reading_that_took_too_long_proves_nothing() -> None:
    """HEAD read for longer than half the time-out is not fresh when it comes: the write is refused."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.clock.now += FRESH

        async def frozen() -> None:
            """Let a whole time-out pass while the store works."""
            world.clock.now += TIMEOUT

        instance.store.schedule = frozen
        await refused(instance)

    run(story)


def test_a_frozen_writer_refuses_when_it_wakes() -> None:
    """A writer that slept while another claimed reads HEAD before it answers, and does not acknowledge."""

    async def story(world: World) -> None:
        """Tell it."""
        old = await writer(world)
        await taken_over(world)
        world.clock.now += TIMEOUT
        assert await refused(old) == "this instance is not the writer"
        assert old.fenced == 1

    run(story)


def test_a_foreign_request_is_not_outwaited() -> None:
    """While another asks, reading HEAD adds no freshness; a change of the writer's own does."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        other = world.instance("b")
        await other.lineage.ask(await seen(other), Request("b", "start"))
        await instance.lineage.acknowledge()
        world.clock.now += FRESH
        assert "asks to take over" in await refused(instance)
        await instance.lineage.touch()
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_an_own_request_is_no_obstacle() -> None:
    """A request left in HEAD by the writer itself is not another's."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        await instance.lineage.ask(await seen(instance), Request("a", "write"))
        assert instance.lineage.request is None
        world.clock.now += FRESH
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_a_stale_reading_is_ignored() -> None:
    """An answer that was under way while HEAD was changed does not undo what is known."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def held() -> None:
            """Hold the reply of the reading."""
            if reached.is_set():
                await go_on.wait()
            reached.set()

        instance.store.schedule = held
        reading = asyncio.create_task(instance.lineage.look())
        while instance.store.operations < 2 or not reached.is_set():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        instance.store.schedule = _at_once
        await instance.commit()
        known = instance.lineage.seen
        go_on.set()
        stale = await reading
        assert stale is not None
        assert known is not None
        assert stale.generation < known.generation
        assert instance.lineage.seen == known
        assert instance.fenced == 0

    run(story)


def test_a_damaged_head_is_no_missing_head() -> None:
    """Reading it raises, and the writer is not fenced by it."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        world.bucket.objects[names.HEAD].data = b"{}"
        with pytest.raises(IntegrityError):
            await instance.lineage.look()
        assert instance.lineage.is_writer

    run(story)
