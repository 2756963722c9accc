"""Blocking calls in a store's own few threads, with a deadline, given up safely when the caller is cancelled.

Owns the bound on threads, what a caller that left means to a thread that still works, and that no thread
keeps the process from ending: with `concurrent.futures`' own executor one that waits for a silent bucket
would, for as long as its request may take. Knows no store.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

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


class DaemonThreads:
    """At most `count` threads, started when needed, that end with the process."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], None]] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._starting = threading.Lock()
        self._started = 0

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Have a thread make the call; what it returns or raises is the future's."""
        future: Future[T] = Future()

        def fulfil() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                answer = call()
            # Whatever it is, it is the caller's: an executor passes all of it on.
            except BaseException as error:  # noqa: BLE001
                future.set_exception(error)
            else:
                future.set_result(answer)

        self._calls.put((future, fulfil))
        with self._starting:
            if not self._idle.acquire(blocking=False) and self._started < self._count:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """Drop what has not started; each thread ends with the call that it is in."""
        with contextlib.suppress(Empty):
            while item := self._calls.get_nowait():
                item[0].cancel()
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            item[1]()
            # Before waiting: a buffer must not live on in the name of a call that is over.
            del item
            self._idle.release()


class StoreThreads:
    """A store's threads, for callers that await."""

    def __init__(self, name: str, count: int) -> None:
        self._threads = DaemonThreads(name, count)

    async def run(self, call: Callable[[Abort], T], *, seconds: float, what: str) -> T:
        """Run a short call. Without an answer in time it is StoreUnreachable, whatever its thread does."""
        abort = Abort()
        future = asyncio.wrap_future(self._threads.submit(lambda: call(abort)))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            if future.done():  # at the last moment, or its own time-out: the answer is the call's
                return future.result()
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
        started = self._threads.submit(lambda: call(abort))
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
        self._threads.close()


def _let_go(future: asyncio.Future[T]) -> None:
    # What has not started must not start after its caller left; what nobody fetched, asyncio would report.
    if not future.cancel() and not future.cancelled():
        future.exception()
