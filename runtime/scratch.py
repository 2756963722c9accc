"""An engine of one's own for a while: a scratch directory beside the storage directory, and ports nobody uses.

Owns making both and taking them away again. What is placed there, and why, is the caller's.
"""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from runtime.engine.process import Engine
from runtime.settings import Settings

_STDERR = 2
_GRACE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def scratch(settings: Settings, what: str) -> AsyncIterator[Settings]:
    """Yield settings with an empty storage directory of one's own, on the same disk; removed in the end."""
    parent = settings.storage_dir.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{settings.storage_dir.name}.{what}-", dir=parent))
    try:
        yield replace(settings, storage_dir=folder / "storage")
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def running(
    settings: Settings, arguments: Sequence[str] = (), *, beside: Path | None = None
) -> AsyncIterator[Engine]:
    """Run an engine with these settings on ports of its own; its lines go to standard error.

    `beside`: where it puts what is no data, if not beside its storage directory.

    Raises ConfigError, EngineError.
    """
    http, grpc = _free_ports()
    own = replace(settings, qdrant_http_port=http, qdrant_grpc_port=grpc)
    engine = Engine(own, output=_STDERR, arguments=arguments, beside=beside)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop(grace_seconds=_GRACE_SECONDS)
        await engine.close()


def _free_ports() -> tuple[int, int]:
    """Return two ports that were free a moment ago; an engine refuses to start on one that is not any more."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
