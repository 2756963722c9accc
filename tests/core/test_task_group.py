import asyncio

import pytest

from runtime.errors import StoreUnreachable
from runtime.task_group import task_group


async def fails() -> None:
    """Fail while the others wait."""
    await asyncio.sleep(0)
    raise StoreUnreachable("no answer")


async def waits(*others: str) -> None:
    """Wait for a task that does not end, beside others that fail."""
    async with task_group() as group:
        for _ in others:
            group.create_task(fails())
        group.create_task(asyncio.sleep(20))


async def gives_up() -> None:
    """Wait for what never comes, in time."""
    async with asyncio.timeout(0.01):
        await asyncio.Event().wait()


def test_a_time_out_after_a_failed_group_is_a_time_out() -> None:
    """Not a cancellation, as which it would end the loop it is in: Python 3.11.2 leaves a request to cancel behind."""

    async def one_after_the_other() -> None:
        """Do both in one task."""
        with pytest.raises(StoreUnreachable):
            await waits("one that fails")
        with pytest.raises(TimeoutError):
            await gives_up()

    asyncio.run(one_after_the_other())


def test_a_cancellation_from_outside_stays_one() -> None:
    """Who waits for the group is cancelled, and so are its tasks."""

    async def cancelled() -> bool:
        """Cancel the one that waits."""
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(cancelled())
