"""The edge as one thing: HAProxy, the gate's two sides, and the way to the engine, opened and closed.

Owns their start and end, and the folder their sockets lie in. Knows nothing of backups.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from aiohttp import web

from runtime import children
from runtime.edge.control import EdgeControl
from runtime.edge.gate import Gate
from runtime.edge.haproxy import EdgeConfig, command, find_haproxy, render
from runtime.edge.rest import rest_app, rest_runner
from runtime.edge.rpc import RpcGate
from runtime.edge.write_key import WriteKey
from runtime.errors import ConfigError, RuntimeFailure
from runtime.settings import Settings

_START_SECONDS = 10.0
_POLL_SECONDS = 0.01


class Edge:
    """HAProxy on the public port, the gate behind it. Started once, stopped once."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self.gate = gate
        gate.write_key = WriteKey(settings.api_key, settings.engine_environment)
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
        self._rest = rest_runner(rest_app(gate, f"http://127.0.0.1:{settings.qdrant_http_port}", str))
        self._rpc = RpcGate(
            gate, f"127.0.0.1:{settings.qdrant_grpc_port}", str, address=f"unix:{self._config.gate_rpc}"
        )
        self._haproxy: children.Child | None = None
        self._reads_open = False

    @property
    def haproxy(self) -> children.Child | None:
        """The running HAProxy, if any."""
        return self._haproxy

    async def start(self) -> None:
        """Listen on the public port: reads answer 503 until `open_reads`. Raises ConfigError (port, no HAProxy)."""
        program = find_haproxy()
        await self._rest.setup()
        await web.UnixSite(self._rest, str(self._config.gate_rest)).start()
        await self._rpc.start()
        file = self._folder / "haproxy.cfg"
        file.write_text(render(self._config))
        self._command = command(program, file)
        await self.start_haproxy()

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
        if self._reads_open:
            await self._control.open_reads()

    async def open_reads(self) -> None:
        """Let reads through to the engine."""
        self._reads_open = True
        await self._control.open_reads()

    async def close_reads(self) -> None:
        """Answer reads with 503 from now on."""
        self._reads_open = False
        with contextlib.suppress(RuntimeFailure):  # no HAProxy, no reads; it starts with the way closed
            await self._control.close_reads()

    async def stop(self) -> None:
        """End it all."""
        if self._haproxy is not None:
            await self._haproxy.stop(grace_seconds=0.2)
        await self._rpc.stop(grace_seconds=0.1)
        await self._rest.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
