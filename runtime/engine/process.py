"""Qdrant as a child process on a storage directory.

Owns its start, its readiness and its end. Whether it is started again is the supervisor's decision.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from runtime import children, contract
from runtime.container import allowance, disk_left, is_memory_disk
from runtime.engine.admin import Admin
from runtime.engine.stream import ShardStream, open_stream
from runtime.engine.tuning import Room, tuning
from runtime.errors import ConfigError, EngineError
from runtime.repository.manifest import SegmentManifests
from runtime.settings import Settings

# A placed folder is open within half a second whatever its size (measured); a large index read into memory takes
# longer, and the start-up probe ends anything beyond this.
_LONGEST_START_SECONDS = 230.0
_POLL_SECONDS = 0.02


class Engine:
    """One engine: started and stopped any number of times on the same directory and ports.

    `output`: the descriptor its lines go to, for a command whose own output is read by a program. `beside`: where it
    puts what is no data; if not given, beside its storage directory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        output: int | None = None,
        arguments: Sequence[str] = (),
        beside: Path | None = None,
    ) -> None:
        self.settings = settings
        self._beside = beside
        self._output = output
        self._command = [settings.qdrant_bin, *arguments]
        self.admin = Admin(settings.qdrant_http_port, settings.api_key)
        self._child: children.Child | None = None
        self.stopping = False
        self.version: str | None = None

    @property
    def child(self) -> children.Child | None:
        """The running process, if any."""
        return self._child

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.running

    async def start(self) -> None:
        """Start it and return when it is ready. Raises ConfigError (no such program), EngineError."""
        for port in (self.settings.qdrant_http_port, self.settings.qdrant_grpc_port):
            await _refuse_taken(port)
        self.settings.storage_dir.mkdir(parents=True, exist_ok=True)
        self.stopping = False
        self._child = await children.start(
            "Qdrant", self._command, environment(self.settings, self._beside), output=self._output
        )
        try:
            async with asyncio.timeout(_LONGEST_START_SECONDS):
                await self._ready(self._child)
                self.version = await self.admin.version()
        except TimeoutError as error:
            await self.stop(grace_seconds=1)
            raise EngineError(f"Qdrant was not ready after {_LONGEST_START_SECONDS:.0f} s") from error

    async def stop(self, *, grace_seconds: float) -> None:
        """End it; after the grace it is killed: it can take over a minute while it indexes (measured)."""
        if self._child is not None:
            self.stopping = True
            await self._child.stop(grace_seconds=grace_seconds)
            self._child = None

    def stream(self, collection: str, shard: str, known: SegmentManifests) -> ShardStream | None:
        """Open the stream of what a shard holds beyond `known`; None: nothing. Blocking. Raises EngineError."""
        return open_stream(self.admin.port, self.admin.api_key, collection, shard, known)

    async def close(self) -> None:
        """Let go of the connections to it."""
        await self.admin.close()

    async def _ready(self, child: children.Child) -> None:
        # Its REST may answer before its gRPC listens (seen on 1.19.0), and both are used at once.
        while not (await self.admin.is_ready() and await _listens(self.settings.qdrant_grpc_port)):
            if not child.running:
                status = child.exited.result()
                raise EngineError(
                    f"Qdrant ended with status {status} while it started on {self.settings.storage_dir}",
                    hint="Its own log lines above say why",
                )
            await asyncio.sleep(_POLL_SECONDS)


def environment(settings: Settings, beside: Path | None = None) -> dict[str, str]:
    """Return the environment Qdrant runs in: ours without our own variables, QDRANT__* over our defaults."""
    beside = beside or settings.storage_dir.resolve().parent
    ours = {
        "QDRANT__SERVICE__HOST": "127.0.0.1",
        "QDRANT__SERVICE__HTTP_PORT": str(settings.qdrant_http_port),
        "QDRANT__SERVICE__GRPC_PORT": str(settings.qdrant_grpc_port),
        "QDRANT__STORAGE__STORAGE_PATH": str(settings.storage_dir.resolve()),
        "QDRANT__STORAGE__SNAPSHOTS_PATH": str(beside / "engine-snapshots"),
    }
    # It would be written into the current directory, which is read-only in the container.
    ours["QDRANT_INIT_FILE_PATH"] = str(beside / "engine-initialized")
    if settings.api_key:
        ours["QDRANT__SERVICE__API_KEY"] = settings.api_key
    if settings.read_only_api_key:
        ours["QDRANT__SERVICE__READ_ONLY_API_KEY"] = settings.read_only_api_key
    chosen = tuning(allowance(), memory_disk=_is_memory_disk(settings))
    return {**chosen, **settings.engine_environment, **ours}


def room(settings: Settings) -> Room:
    """Return what this container has for the engine's data."""
    return Room(allowance(), _is_memory_disk(settings), disk_left(settings.storage_dir))


def _is_memory_disk(settings: Settings) -> bool:
    there = settings.engine_environment.keys() & {contract.IN_A_SERVICE, contract.IN_A_JOB}
    return is_memory_disk(settings.storage_dir, on_cloud_run=bool(there))


async def version(settings: Settings) -> str | None:
    """Return what the engine's program says its version is, before it runs; None when it does not say.

    Raises ConfigError when there is no such program.
    """
    child = await asyncio.create_subprocess_exec(
        children.find("Qdrant", settings.qdrant_bin),
        "--version",
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(10):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return None
    found = re.search(rb"\d+\.\d+\.\d+", output)
    return found.group().decode() if found else None


async def _refuse_taken(port: int) -> None:
    """Refuse to start where something else listens: its answers would be taken for Qdrant's."""
    if await _listens(port):
        raise ConfigError(
            f"port {port} is in use by another program", hint="Stop it, or set QDRANT_HTTP_PORT and QDRANT_GRPC_PORT"
        )


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
