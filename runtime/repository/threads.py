"""Blocking calls in a store's own few threads, given up safely when the caller is cancelled.

Owns the bound on threads and the one moment at which a cancelled upload may still become an object. Knows
no store.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class GivenUp(Exception):  # noqa: N818 - not an error: it never leaves the thread that was told to stop
    """The caller is gone; stop without a trace."""


class Abort:
    """Whether the caller of one blocking call still waits for it."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def set(self) -> None:
        """Say that nobody waits any longer."""
        self._gone.set()

    def check(self) -> None:
        """Raise GivenUp if nobody waits any longer."""
        if self._gone.is_set():
            raise GivenUp


class StoreThreads:
    """A bounded number of threads, started when first used."""

    def __init__(self, name: str, count: int, *, patience_seconds: float) -> None:
        self._executor = ThreadPoolExecutor(max_workers=count, thread_name_prefix=name)
        self._patience_seconds = patience_seconds

    async def run(self, call: Callable[[Abort], T]) -> T:
        """Run the call in a thread. Cancelled, tell it so and wait a bounded time until it has stopped.

        Waiting matters: who cancels an upload may look for the object next, and must not see it appear later.
        """
        abort = Abort()
        future = self._executor.submit(call, abort)
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            abort.set()
            if not future.cancel():
                stopped = asyncio.wrap_future(future)
                await asyncio.wait({stopped}, timeout=self._patience_seconds)
                # Retrieved so that asyncio does not report it: the outcome belongs to nobody any more.
                if stopped.done() and not stopped.cancelled():
                    stopped.exception()
            raise

    def close(self) -> None:
        """Take no more calls; threads end with the call they are in."""
        self._executor.shutdown(wait=False, cancel_futures=True)
