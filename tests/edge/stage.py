"""A real HAProxy in front of recorders, or of a real gate, for as long as a block lasts."""

import asyncio
import functools
import random
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

import aiohttp
from aiohttp import web

from runtime.edge.control import EdgeControl
from runtime.edge.gate import Gate
from runtime.edge.haproxy import EdgeConfig, command, find_haproxy, render
from runtime.edge.rest import rest_app, rest_runner
from runtime.edge.rpc import RpcGate
from tests.edge.recorder import Recorder, RpcRecorder

P = ParamSpec("P")
BOUND_SECONDS = 10.0


@dataclass
class Stage:
    """Everything around HAProxy, each with its record."""

    port: int
    control: EdgeControl
    engine: Recorder
    engine_rpc: RpcRecorder
    agent: Recorder
    gate: Recorder
    gate_rpc: RpcRecorder
    config: EdgeConfig


@asynccontextmanager
async def switchboard(*, opened: bool = True) -> AsyncIterator[Stage]:
    """Run HAProxy with a recorder in every place behind it."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        stage = Stage(
            port=free_port(),
            control=EdgeControl(here / "control.sock"),
            engine=Recorder("engine"),
            engine_rpc=RpcRecorder("engine"),
            agent=Recorder("agent"),
            gate=Recorder("gate"),
            gate_rpc=RpcRecorder("gate"),
            config=None,  # type: ignore[arg-type]  # known once the recorders listen
        )
        await stage.gate.listen(path=here / "rest.sock")
        await stage.gate_rpc.listen(f"unix:{here / 'rpc.sock'}")
        stage.config = EdgeConfig(
            port=stage.port,
            agent_port=await stage.agent.listen(),
            qdrant_http=await stage.engine.listen(),
            qdrant_grpc=await stage.engine_rpc.listen(),
            gate_rest=here / "rest.sock",
            gate_rpc=here / "rpc.sock",
            control=here / "control.sock",
            project="a-project",
        )
        try:
            async with haproxy(stage.config, here):
                if opened:
                    await stage.control.open_reads()
                yield stage
        finally:
            for recorder in (stage.engine, stage.agent, stage.gate):
                recorder.close()
            await stage.engine_rpc.close()
            await stage.gate_rpc.close()


@asynccontextmanager
async def haproxy(config: EdgeConfig, folder: Path) -> AsyncIterator[None]:
    """Run HAProxy until the block ends; it is up when the block begins."""
    path = folder / "haproxy.cfg"
    path.write_text(render(config))
    with (folder / "haproxy.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: ASYNC220 - starting a child blocks for a moment only
            command(find_haproxy(), path), stdout=log, stderr=log
        )
    try:
        await until(EdgeControl(config.control).listening, what=(folder / "haproxy.log").read_text)
        yield
    finally:
        child.terminate()
        child.wait(BOUND_SECONDS)


@dataclass
class GateStage:
    """A real gate between a client and a recording engine, without HAProxy."""

    gate: Gate
    engine: Recorder
    engine_rpc: RpcRecorder
    rest: Path
    rpc: str

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Return a client of the gate's REST side."""
        async with aiohttp.ClientSession(
            "http://gate", connector=aiohttp.UnixConnector(str(self.rest)), auto_decompress=False
        ) as session:
            yield session


@asynccontextmanager
async def gate_stage(gate: Gate, *, resolve: Callable[[str], str] = str) -> AsyncIterator[GateStage]:
    """Run both sides of a gate in front of recorders."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        engine, engine_rpc = Recorder("engine"), RpcRecorder("engine")
        port, rpc_port = await engine.listen(), await engine_rpc.listen()
        runner = rest_runner(rest_app(gate, f"http://127.0.0.1:{port}", resolve))
        await runner.setup()
        await web.UnixSite(runner, here / "rest.sock").start()
        rpc = RpcGate(gate, f"127.0.0.1:{rpc_port}", resolve, address=f"unix:{here / 'rpc.sock'}")
        await rpc.start()
        try:
            yield GateStage(gate, engine, engine_rpc, here / "rest.sock", f"unix:{here / 'rpc.sock'}")
        finally:
            await runner.cleanup()
            await rpc.stop(grace_seconds=0)
            engine.close()
            await engine_rpc.close()


def in_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run an async test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        """Run it."""
        asyncio.run(test(*args, **kwargs))

    return run


def free_port() -> int:
    """Return a port that is free now, from below those that the system gives to outgoing connections."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


async def until(condition: object, *, what: Callable[[], str] = str) -> None:
    """Poll until a condition, sync or async, is true; fail after a bound and say what there is instead."""
    for _ in range(int(BOUND_SECONDS / 0.02)):
        result = condition()  # type: ignore[operator]
        if await result if asyncio.iscoroutine(result) else result:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {BOUND_SECONDS} s: {what()}")


async def raw(port: int, wire: bytes) -> bytes:
    """Send bytes on a connection of their own and return all that comes back before it is closed or idle."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire)
    answer = b""
    try:
        async with asyncio.timeout(1.0):
            while piece := await reader.read(65536):
                answer += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return answer
