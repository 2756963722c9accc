"""Blocking calls in a store's own few threads, with a deadline, given up safely when the caller is cancelled.

Owns the bound on threads and what a caller that left means to a thread that still works. Knows no store.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from runtime.errors import StoreUnreachable

T = TypeVar("T")

# How long a cancelled caller waits for its thread to notice, which it does between two blocks of bytes.
SETTLE_SECONDS = 2.0


class GivenUp(Exception):
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

    def pause(self, seconds: float) -> None:
        """Wait, but not for a caller that is gone. Raises GivenUp."""
        self._gone.wait(seconds)
        self.check()


class StoreThreads:
    """A bounded number of threads, started when first used."""

    def __init__(self, name: str, count: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=count, thread_name_prefix=name)

    async def run(self, call: Callable[[Abort], T], *, seconds: float, what: str) -> T:
        """Run a short call. Without an answer in time it is StoreUnreachable, whatever its thread does."""
        abort = Abort()
        future = asyncio.wrap_future(self._executor.submit(call, abort))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            if future.done():
                raise
            raise StoreUnreachable(
                f"{what}: no answer within {seconds:g} s",
                hint="Check the network and the store, then try again",
            ) from None
        finally:
            abort.set()
            _let_go(future)

    async def stream(self, call: Callable[[Abort], T]) -> T:
        """Run a call that takes as long as its bytes do, and watches its own progress.

        Cancelled, it is told so and waited for: the caller may close its source or sink next, or look
        whether the object appeared.
        """
        abort = Abort()
        started: Future[T] = self._executor.submit(call, abort)
        future = asyncio.wrap_future(started)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            abort.set()
            if not started.cancel():
                await asyncio.wait({future}, timeout=SETTLE_SECONDS)
            raise
        finally:
            _let_go(future)

    def close(self) -> None:
        """Take no more calls; threads end with the call they are in."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _let_go(future: asyncio.Future[T]) -> None:
    # What has not started must not start after its caller left; what nobody fetched, asyncio would report.
    if not future.cancel() and not future.cancelled():
        future.exception()
