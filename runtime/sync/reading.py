"""Reading a collection page by page in the order of its ids, the next page on its way while one is worked on.

Owns how many points a page has. What is done with them is the caller's.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from runtime.sync.pages import Page, PointId
from runtime.sync.remote import Remote, TooLarge

T = TypeVar("T")

_PAGE_BYTES = 4 * 1024 * 1024


class Pacer:
    """How many points to ask for, so that a page is of a good size; learned from the pages that came."""

    def __init__(self, *, first: int = 100, most: int = 1000) -> None:
        self.limit = min(first, most)
        self._most = most

    async def fetch(self, ask: Callable[[int], Awaitable[T]], page_of: Callable[[T], Page]) -> tuple[T, int]:
        """Return what `ask` gives for a number of points, and that number. Raises TooLarge for a single point."""
        while True:
            limit = self.limit
            try:
                got = await ask(limit)
            except TooLarge:
                if limit == 1:
                    raise
                self.limit = max(1, limit // 8)
                continue
            if (page := page_of(got)).next is not None:
                fitting = _PAGE_BYTES * limit // max(len(page.raw), 1)
                self.limit = max(1, min(fitting, limit * 4, self._most))
            return got, limit


async def pages(
    remote: Remote, collection: str, start: PointId | None, pacer: Pacer
) -> AsyncGenerator[tuple[Page, int], None]:
    """Yield pages from an id on, each with its number of points."""

    async def fetch(cursor: PointId | None) -> tuple[Page, int]:
        page, limit = await pacer.fetch(lambda limit: remote.scroll(collection, cursor, limit), lambda page: page)
        return page, limit if page.next is not None else len(page.points())

    async with contextlib.aclosing(_ahead(fetch, start, lambda got: got[0].next)) as found:
        async for _, got in found:
            yield got


async def pairs(
    source: Remote, target: Remote, collection: str, start: PointId | None, pacer: Pacer
) -> AsyncGenerator[tuple[PointId | None, Page, Page], None]:
    """Yield the same range of two engines, as the first one divides it, with the id that it begins with."""

    async def both(cursor: PointId | None, limit: int) -> tuple[Page, Page]:
        one = asyncio.create_task(source.scroll(collection, cursor, limit))
        other = asyncio.create_task(target.scroll(collection, cursor, limit))
        try:
            return await one, await other
        finally:
            await _end(one, other)

    async def fetch(cursor: PointId | None) -> tuple[Page, Page]:
        return (await pacer.fetch(lambda limit: both(cursor, limit), lambda pair: pair[0]))[0]

    async with contextlib.aclosing(_ahead(fetch, start, lambda pair: pair[0].next)) as found:
        async for cursor, (ours, theirs) in found:
            yield cursor, ours, theirs


async def _ahead(
    fetch: Callable[[PointId | None], Coroutine[Any, Any, T]],
    start: PointId | None,
    following: Callable[[T], PointId | None],
) -> AsyncGenerator[tuple[PointId | None, T], None]:
    """Yield what `fetch` gives from an id on, and that id; the next one is being fetched meanwhile."""
    pending = asyncio.create_task(fetch(start))
    try:
        while True:
            got = await pending
            after = following(got)
            if after is not None:
                pending = asyncio.create_task(fetch(after))
            yield start, got
            if after is None:
                return
            start = after
    finally:
        await _end(pending)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
