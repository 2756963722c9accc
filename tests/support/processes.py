"""Processes in one loop: each owns its callbacks, so that one can be frozen or die while the others go on.

Owns who runs. A callback belongs to the process in whose context it was made; the network belongs to nobody.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.support.virtual_time import VirtualLoop

T = TypeVar("T")

OWNER: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("owner", default=None)
NOBODY = contextvars.Context()


class Process:
    """One process: its clocks are its own, and differ from the others'."""

    def __init__(self, loop: "ProcessLoop", name: str, *, rate: float, offset: float) -> None:
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.last_frozen = float("-inf")
        self.parked: list[asyncio.Handle] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._loop = loop
        self._rate = rate
        self._offset = offset
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)

    def clock(self) -> float:
        """Return this process's monotonic seconds; they go on while it is frozen."""
        return self._offset + self._rate * self._loop.time()

    def spawn(self, program: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a program as part of this process."""
        return self._loop.create_task(program, context=self.context.copy())

    def freeze(self, seconds: float) -> None:
        """Run nothing of it for so long; what it asked of others goes on."""
        self.frozen_until = max(self.frozen_until, self._loop.time() + seconds)
        self.last_frozen = self.frozen_until
        self._loop.call_at(self.frozen_until, self.thaw, context=NOBODY)

    def thaw(self) -> None:
        """Let it go on, with everything that came meanwhile, in order."""
        if self._loop.time() >= self.frozen_until:
            self._loop.resume(self.parked)
            self.parked = []

    def kill(self) -> None:
        """End it here: nothing it does from now on reaches anybody."""
        self.dead = True
        self.frozen_until = 0.0
        self.thaw()
        for task in list(self.tasks):
            task.cancel()


class ProcessLoop(VirtualLoop):
    """A virtual loop that knows whose callback each is."""

    def admit(self, handle: asyncio.Handle) -> bool:
        """Keep a frozen process's callback for when it goes on."""
        process = handle._context.get(OWNER)  # type: ignore[attr-defined]
        if process is None or process.frozen_until <= self._now:
            return True
        process.parked.append(handle)
        return False

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Make callbacks ready again."""
        self._ready.extend(handles)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        """Note whose task it is."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = context.get(OWNER) if context is not None else OWNER.get()
        if owner is not None:
            owner.tasks.add(task)
            task.add_done_callback(owner.tasks.discard, context=NOBODY)
        return task
