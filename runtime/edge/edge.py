"""The edge as one thing: HAProxy, the gate's two sides, and the way to the engine, opened and closed.

Owns their start and end, and the folder their sockets lie in. Knows nothing of backups.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import children, imports
from runtime.edge.control import EdgeControl
from runtime.edge.gate import Gate
from runtime.edge.haproxy import EdgeConfig, command, find_haproxy, render
from runtime.edge.write_key import WriteKey
from runtime.errors import ConfigError, RuntimeFailure
from runtime.settings import Settings

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

    from runtime.edge.rpc import RpcGate

_START_SECONDS = 10.0
_POLL_SECONDS = 0.01


class Edge:
    """HAProxy on the public port, the gate behind it. Started once, stopped once."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self.gate = gate
        gate.write_key = WriteKey(settings.api_key, settings.engine_environment)
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="edge-"))
        self._config = EdgeConfig(
            port=settings.port,
            agent_port=settings.agent_port,
            qdrant_http=settings.qdrant_http_port,
            qdrant_grpc=settings.qdrant_grpc_port,
            gate_rest=self._folder / "rest",
            gate_rpc=self._folder / "rpc",
            control=self._folder / "control",
            project=settings.project,
        )
        self._environment = {"PATH": settings.engine_environment.get("PATH", os.defpath)}
        self._control = EdgeControl(self._config.control)
        self._rest: AppRunner | None = None
        self._rpc: RpcGate | None = None
        self._haproxy: children.Child | None = None
        self._listens = asyncio.Event()
        self._started = asyncio.Event()
        self.reads_open = asyncio.Event()

    @property
    def haproxy(self) -> children.Child | None:
        """The running HAProxy, if any."""
        return self._haproxy

    async def start(self) -> None:
        """Listen on the public port: reads answer 503 until `open_reads`. Raises ConfigError (port, no HAProxy)."""
        program = find_haproxy()
        file = self._folder / "haproxy.cfg"
        file.write_text(await asyncio.to_thread(render, self._config))
        self._command = command(program, file)
        await self.start_haproxy()
        self._listens.set()

    async def let_writes_in(self) -> None:
        """Start the gate, which answers writes; until then HAProxy answers them with 503."""
        await imports.beside("aiohttp.web", "runtime.edge.rest", "runtime.edge.rpc")
        from aiohttp.web import UnixSite  # noqa: PLC0415

        from runtime.edge.rest import rest_app, rest_runner  # noqa: PLC0415
        from runtime.edge.rpc import RpcGate  # noqa: PLC0415

        http, grpc = self._settings.qdrant_http_port, self._settings.qdrant_grpc_port
        self._rest = rest_runner(rest_app(self.gate, f"http://127.0.0.1:{http}", str))
        await self._rest.setup()
        await UnixSite(self._rest, str(self._config.gate_rest)).start()
        self._rpc = RpcGate(self.gate, f"127.0.0.1:{grpc}", str, address=f"unix:{self._config.gate_rpc}")
        await self._rpc.start()
        self._started.set()

    async def start_haproxy(self) -> None:
        """Start HAProxy, for the first time or again. Raises ConfigError when it does not come up."""
        child = await children.start("HAProxy", self._command, self._environment)
        self._haproxy = child
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while child.running and not await self._control.listening():
                    await asyncio.sleep(_POLL_SECONDS)
        if not child.running or not await self._control.listening():
            await child.stop(grace_seconds=0)
            raise ConfigError(
                f"HAProxy did not start listening on port {self._config.port}",
                hint="Its own message above says why; if the port is in use, stop what uses it or set PORT",
            )
        if self.reads_open.is_set():
            await self._control.open_reads()

    async def open_reads(self) -> None:
        """Let reads through to the engine; return when writes can come too: who cannot be reached must not claim."""
        await self._listens.wait()
        self.reads_open.set()
        await self._control.open_reads()
        await self._started.wait()

    async def close_reads(self) -> None:
        """Answer reads with 503 from now on."""
        self.reads_open.clear()
        with contextlib.suppress(RuntimeFailure):  # no HAProxy, no reads; it starts with the way closed
            await self._control.close_reads()

    async def stop(self) -> None:
        """End it all."""
        if self._haproxy is not None:
            await self._haproxy.stop(grace_seconds=0.2)
        if self._rpc is not None:
            await self._rpc.stop(grace_seconds=0.1)
        if self._rest is not None:
            await self._rest.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
