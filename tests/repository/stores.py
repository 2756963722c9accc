"""How tests look into a store of any kind."""

import asyncio
import base64

import google_crc32c
import pytest

from runtime.repository.store import ObjectInfo, Store
from tests.support.sources import Collected, HeldSource

MIB = 1 << 20


async def listed(store: Store, prefix: str = "") -> list[ObjectInfo]:
    """Return a listing."""
    return [info async for info in store.list(prefix)]


async def names(store: Store, prefix: str = "") -> list[str]:
    """Return the names in a listing."""
    return [info.name for info in await listed(store, prefix)]


async def content(store: Store, name: str, offset: int, length: int) -> bytes:
    """Return a range of an object."""
    sink = Collected()
    await store.download(name, offset, length, sink)
    return bytes(sink.data)


async def cancel_half_way(store: Store, name: str, source: HeldSource) -> None:
    """Cancel an upload while its source is being waited for; the source then goes on and ends well."""
    task = asyncio.create_task(store.upload(name, source))
    await asyncio.to_thread(source.reached.wait, 20)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, source.release.set)
    with pytest.raises(asyncio.CancelledError):
        await task


def crc32c(data: bytes) -> str:
    """Return the checksum as the service writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def skip_on(store: str, request: pytest.FixtureRequest, reason: str) -> None:
    """Skip a fact that a stand-in does not hold."""
    if f"[{store}" in request.node.name:
        pytest.skip(reason)
