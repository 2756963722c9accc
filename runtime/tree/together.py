"""The same work for many things, a few at a time; the first failure ends the others."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from runtime.task_group import task_group

_AT_ONCE: Final = 8


async def together(things: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do the work for each. Raises the first failure itself."""
    waiting = iter(things)

    async def some() -> None:
        for thing in waiting:
            await work(thing)

    async with task_group() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())
