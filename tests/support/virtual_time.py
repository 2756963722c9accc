"""An event loop whose time is virtual: it jumps to the next timer whenever nothing is ready.

Deterministic: callbacks run in the order they became ready, threads are replaced by the call itself, and a loop
that waits for nothing fails instead of hanging. There is no network in it.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Nothing is ready and no timer is set: whatever is awaited can never happen."""


class Due(float):
    """A timer in the queue, under its time: numbers are compared without a call, and millions of them are."""

    __slots__ = ("timer",)

    timer: asyncio.TimerHandle


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop for programs that do everything through tasks, timers and `to_thread`."""

    _ready: Any
    _scheduled: Any

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def run_in_executor(self, executor: object, func: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Call it here and now: a thread's progress would depend on the machine."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it belongs to whoever awaits it
            future.set_exception(error)
        return future

    def call_soon(  # type: ignore[override]  # the same callbacks, without the type checker's tie to their arguments
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Make a callback ready, as the loop that this one is made from does, without its looks at the debug mode."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        due = Due(when)
        due.timer = timer
        heapq.heappush(self._scheduled, due)
        return timer

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer, from now."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def admit(self, handle: asyncio.Handle) -> bool:
        """Tell whether a callback that is due may run; one that may not is the subclass's to keep."""
        del handle
        return True

    def _run_once(self) -> None:
        """Run what is ready; when nothing is, go to the next timer."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].timer._cancelled:
            heapq.heappop(scheduled)
        if not ready and not self._stopping:  # type: ignore[attr-defined]  # private
            if not scheduled:
                raise Stuck
            self._now = max(self._now, float(scheduled[0]))
        now = self._now
        while scheduled and scheduled[0] <= now:
            ready.append(heapq.heappop(scheduled).timer)
        admit = self.admit
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled and admit(handle):
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Pass cancelled timers over when their turn comes."""

    def _process_events(self, event_list: object) -> None:
        """There are no events from outside."""

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""


def run(program: Coroutine[Any, Any, T], loop: VirtualLoop | None = None) -> T:
    """Run a program in virtual time and return what it returned; every task it left is cancelled first."""
    loop = loop or VirtualLoop()
    try:
        try:
            return loop.run_until_complete(program)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
