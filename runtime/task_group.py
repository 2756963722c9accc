"""Tasks that end together, the first failure of them as what is raised.

Owns what asyncio's own group lacks: Debian 12's Python 3.11.2 leaves a request to cancel behind on the task that waited
for a group which failed (mended in 3.11.3). Every later time-out in that task then looks like its cancellation, and a
loop that was to try again ends without a word.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a group; the block ends when all its tasks have. Raises the first failure itself."""
    waiting = asyncio.current_task()
    requests = waiting.cancelling() if waiting else 0
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        if waiting and waiting.cancelling() > requests:
            waiting.uncancel()
        raise failures.exceptions[0] from failures
