"""The story of an instance's life: listen, restore, serve, save, end.

Owns the order of things, the children's deaths and the signals. What each step does is elsewhere.
"""

import asyncio
import contextlib
import signal
from collections import deque

from runtime import imports, memory
from runtime.agent import Agent
from runtime.assembly import build
from runtime.children import Child
from runtime.edge.edge import Edge
from runtime.edge.gate import Gate
from runtime.errors import EngineError, RuntimeFailure
from runtime.instance import Instance
from runtime.logs import get_logger
from runtime.repository.open import open_store, prepare
from runtime.repository.repository import Repository
from runtime.settings import Settings

log = get_logger()

# A child that dies by itself is started again in place so often; after that the container ends with its status.
_MOST_RESTARTS = 3
_RESTART_WINDOW_SECONDS = 600.0
_POLL_SECONDS = 0.1

_MOST_CANCELLATIONS = 5
_CANCELLATION_SECONDS = 0.4

# Kept back of the shutdown budget for ending the children, while an upload that had to be given up winds down.
_ENDING_SECONDS = 2.3

# What is imported while files are placed takes the interpreter from each of their blocks: a small backup goes first.
_PATIENCE_SECONDS = 0.2

_GIVE_BACK_SECONDS = 2.0


class ChildDied(Exception):
    """A child died too often; the program ends with its status."""

    def __init__(self, child: Child, status: int) -> None:
        super().__init__(f"{child.name} ended with status {status} too often")
        self.status = status if status >= 0 else 128 - status


async def serve(settings: Settings) -> int:
    """Run an instance until it is told to end. Returns the exit status; raises what made the start impossible."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    agent = Agent(settings)
    store = open_store(settings.effective_backup_url, emulator_host=settings.emulator_host, project=settings.project)
    edge = Edge(settings, Gate())
    instance = build(settings, Repository(store), edge)
    try:
        await prepare(store)
        opening = asyncio.create_task(_open(instance, edge, agent, settings.port), name="opening")
        return await _live(instance, edge, settings, ended, opening)
    finally:
        await _end(instance, edge, agent)


async def _open(instance: Instance, edge: Edge, agent: Agent, port: int) -> None:
    """Listen at once; import what answers when a start that is short has got past what it would be slowed in."""
    await edge.start()
    log.info("edge.listening", message=f"Listening on port {port}", port=port)
    await _happened(instance.replica.placed_once)
    await imports.aiohttp_beside()
    await _happened(edge.reads_open)
    await edge.let_writes_in()
    await agent.start(instance)


async def _happened(event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await event.wait()


async def _live(
    instance: Instance, edge: Edge, settings: Settings, ended: asyncio.Event, opening: asyncio.Task[None]
) -> int:
    """Boot, then keep at it until a signal, or until something fails that only a new container mends."""
    boot: asyncio.Task[object] = asyncio.create_task(instance.boot(), name="boot")
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(ended.wait(), name="signal"),
        asyncio.create_task(_keep_haproxy(edge, opening), name="haproxy"),
    ]
    try:
        await asyncio.wait([boot, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
        if boot.done():
            boot.result()
            tasks += [
                asyncio.create_task(instance.watch(), name="watch"),
                asyncio.create_task(instance.follow(), name="follow"),
                asyncio.create_task(instance.writing.run(), name="backups"),
                asyncio.create_task(_keep_engine(instance), name="engine"),
                asyncio.create_task(_keep_little(), name="memory"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        status = max(_status_of(task) for task in tasks if task.done())
    finally:
        began = asyncio.get_running_loop().time()
        await _cancelled([opening, boot, *tasks])
    log.info("shutdown.started", message="Shutting down", unsaved=instance.writing.unsaved_count)
    took = asyncio.get_running_loop().time() - began
    await instance.finish(seconds=max(settings.shutdown_budget_seconds - _ENDING_SECONDS - took, 0.5))
    return status


async def _cancelled(tasks: list[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait for their end, within a bound.

    Told again and again: up to Python 3.12 a task forgets a cancellation that meets the failure of its task group.
    """
    for _ in range(_MOST_CANCELLATIONS):
        left = [task for task in tasks if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCELLATION_SECONDS)


def _status_of(task: asyncio.Task[object]) -> int:
    """Return the exit status that a task's end means. Whatever it was, what is unsaved is saved first."""
    error = task.exception()
    if isinstance(error, ChildDied):
        log.error("child.gave_up", message=str(error), status=error.status)
        return error.status
    if error is not None:
        log.error("serve.failed", message=f"{task.get_name()} failed: {error}", exc_info=error)
        return error.exit_code if isinstance(error, RuntimeFailure) else 1
    return 0


async def _keep_haproxy(edge: Edge, opening: asyncio.Task[None]) -> None:
    await asyncio.shield(opening)  # it may end after the boot, if only by what the agent's port needs
    restarts = _Restarts()
    while (child := edge.haproxy) is not None:
        status = await asyncio.shield(child.exited)
        restarts.note(child, status)
        log.error("haproxy.exited", message=f"HAProxy ended with status {status}: starting it again", status=status)
        await edge.start_haproxy()


async def _keep_engine(instance: Instance) -> None:
    """Start Qdrant again on the same folder when it dies by itself: what it acknowledged survives that there."""
    restarts = _Restarts()
    while True:
        child = instance.replica.engine.child
        if child is None or instance.replica.engine.stopping:  # being replaced by the replica
            await asyncio.sleep(_POLL_SECONDS)
            continue
        status = await asyncio.shield(child.exited)
        if instance.replica.engine.child is not child or instance.replica.engine.stopping:
            continue
        restarts.note(child, status)
        log.error("engine.exited", message=f"Qdrant ended with status {status}: starting it again", status=status)
        await instance.restart_engine()


async def _keep_little() -> None:
    while True:
        await asyncio.sleep(_GIVE_BACK_SECONDS)
        await asyncio.to_thread(memory.give_back)


class _Restarts:
    """Counts a child's restarts within the window."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def note(self, child: Child, status: int) -> None:
        """Count one; raises ChildDied when there were too many."""
        now = asyncio.get_running_loop().time()
        self._times.append(now)
        while self._times and self._times[0] < now - _RESTART_WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) > _MOST_RESTARTS:
            raise ChildDied(child, status)


async def _end(instance: Instance, edge: Edge, agent: Agent) -> None:
    """End the children and let go of everything; failures here have nothing left to harm."""
    with contextlib.suppress(RuntimeFailure, EngineError):
        await instance.replica.engine.stop(grace_seconds=0.3)
    await edge.stop()
    await instance.replica.engine.close()
    await agent.stop()
    log.info("shutdown.finished", message="Ended")
