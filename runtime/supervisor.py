"""The story of an instance's life: listen, restore, serve, save, end.

Owns the order of things, the children's deaths and the signals. What each step does is elsewhere.
"""

import asyncio
import contextlib
import signal
from collections import deque

from aiohttp import web

from runtime.api.app import agent_app
from runtime.assembly import build
from runtime.children import Child
from runtime.edge.edge import Edge
from runtime.edge.gate import Gate
from runtime.errors import ConfigError, EngineError, RuntimeFailure
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
    store = open_store(settings.effective_backup_url, emulator_host=settings.emulator_host, project=settings.project)
    edge = Edge(settings, Gate())
    instance = build(settings, Repository(store), edge)
    agent = web.AppRunner(agent_app(instance, settings), access_log=None, shutdown_timeout=0.5)
    try:
        await _listen(agent, settings.agent_port)
        await prepare(store)
        await edge.start()
        log.info("edge.listening", message=f"Listening on port {settings.port}", port=settings.port)
        return await _live(instance, edge, settings, ended)
    finally:
        await _end(instance, edge, agent)


async def _live(instance: Instance, edge: Edge, settings: Settings, ended: asyncio.Event) -> int:
    """Boot, then keep at it until a signal, or until something fails that only a new container mends."""
    boot: asyncio.Task[object] = asyncio.create_task(instance.boot(), name="boot")
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(ended.wait(), name="signal"),
        asyncio.create_task(_keep_haproxy(edge), name="haproxy"),
    ]
    try:
        await asyncio.wait([boot, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if boot.done():
            boot.result()
            tasks += [
                asyncio.create_task(instance.watch(), name="watch"),
                asyncio.create_task(instance.follow(), name="follow"),
                asyncio.create_task(instance.writing.run(), name="backups"),
                asyncio.create_task(_keep_engine(instance), name="engine"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        status = max(_status_of(task) for task in tasks if task.done())
    finally:
        began = asyncio.get_running_loop().time()
        await _cancelled([boot, *tasks])
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


async def _keep_haproxy(edge: Edge) -> None:
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


async def _listen(agent: web.AppRunner, port: int) -> None:
    await agent.setup()
    try:
        await web.TCPSite(agent, "0.0.0.0", port, reuse_port=False).start()
    except OSError as error:
        raise ConfigError(
            f"port {port} is in use: {error.strerror}", hint="Stop what uses it, or set AGENT_PORT"
        ) from error


async def _end(instance: Instance, edge: Edge, agent: web.AppRunner) -> None:
    """End the children and let go of everything; failures here have nothing left to harm."""
    with contextlib.suppress(RuntimeFailure, EngineError):
        await instance.replica.engine.stop(grace_seconds=0.3)
    await edge.stop()
    await instance.replica.engine.close()
    await agent.cleanup()
    log.info("shutdown.finished", message="Ended")
