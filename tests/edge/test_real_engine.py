"""The table's reading of paths against a real engine's, where one is at hand."""

import os
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.edge.rest_routes import classify_rest
from tests.edge.stage import BOUND_SECONDS, free_port, in_loop, raw, until
from tests.edge.test_haproxy_agrees import SEED, twisted

BINARY = os.environ.get("QDRANT_BIN", "")
pytestmark = pytest.mark.skipif(not BINARY, reason="QDRANT_BIN names no engine")
NOT_A_ROUTE = (b"HTTP/1.1 404", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0")


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[int]:
    """Run a real engine on an empty folder."""
    port = free_port()
    settings = {
        "QDRANT__SERVICE__HTTP_PORT": str(port),
        "QDRANT__SERVICE__GRPC_PORT": str(free_port()),
        "QDRANT__TELEMETRY_DISABLED": "true",
    }
    child = subprocess.Popen(  # noqa: ASYNC220 - starting a child blocks for a moment only
        [BINARY], cwd=folder, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    async def ready() -> bool:
        """Tell whether it answers."""
        try:
            return b" 200 " in await ask(port, "GET", "/readyz")
        except ConnectionError:
            return False

    try:
        await until(ready)
        yield port
    finally:
        child.kill()
        child.wait(BOUND_SECONDS)


async def ask(port: int, method: str, target: str) -> bytes:
    """Send a request without a body and return the answer."""
    head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    return await raw(port, head.encode("latin-1"))


@in_loop
async def test_a_write_of_the_engine_is_never_a_read_of_the_table(tmp_path: Path) -> None:
    """Whatever path the engine takes for an upsert, the table does not take for a read."""
    chance = random.Random(SEED)
    targets = [twisted("/collections/c/points", chance) for _ in range(400)]
    routed = 0
    async with engine(tmp_path) as port:
        for target in targets:
            answer = await ask(port, "PUT", target)
            if not answer or answer.startswith(NOT_A_ROUTE):
                continue
            routed += 1
            write = classify_rest("PUT", target)
            assert write is not None, (target, answer)
    assert routed > 100
