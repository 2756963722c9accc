"""Qdrant's REST routes that the runtime itself uses.

Owns the requests and what their answers mean. Data routes are none of its business.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from runtime.errors import EngineError

if TYPE_CHECKING:
    import aiohttp

_SECONDS = 30.0
# A stock snapshot of some gigabytes takes minutes; one that stops coming is given up.
_SNAPSHOT_SECONDS = 1800.0
_SNAPSHOT_PAUSE_SECONDS = 300.0
_PIECE_BYTES = 1024 * 1024


class Admin:
    """A client for one engine on loopback. Close it in the end."""

    def __init__(self, port: int, api_key: str | None) -> None:
        self.port = port
        self.api_key = api_key
        self._opened: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._opened is not None:
            await self._opened.close()

    async def is_ready(self) -> bool:
        """Whether the engine answers: on a single node it listens only after everything is loaded."""
        try:
            async with self._answer("GET", "/readyz") as response:
                return response.status == 200
        except EngineError:
            return False

    async def version(self) -> str:
        """Return the engine's version, as `1.19.0`."""
        return str((await self._get("/", envelope=False))["version"])

    async def collections(self) -> list[str]:
        """Return the collections' names, sorted."""
        return sorted(entry["name"] for entry in (await self._get("/collections"))["collections"])

    async def aliases(self) -> dict[str, str]:
        """Return every alias with its collection."""
        found = (await self._get("/aliases"))["aliases"]
        return {entry["alias_name"]: entry["collection_name"] for entry in found}

    async def count(self, collection: str) -> int:
        """Return a collection's exact number of points."""
        path = f"/collections/{quote(collection, safe='')}/points/count"
        return int((await self._request("POST", path, {"exact": True}))["result"]["count"])

    async def create_snapshot(self, collection: str) -> str:
        """Have the engine make a stock snapshot of a collection; returns its name. It lies on the engine's own disk."""
        answer = await self._request("POST", _snapshots(collection), None, seconds=_SNAPSHOT_SECONDS)
        return str(answer["result"]["name"])

    async def download_snapshot(self, collection: str, name: str, file: Path) -> int:
        """Write a stock snapshot to a file and return its size. Raises EngineError when it comes cut; OSError."""
        path = f"{_snapshots(collection)}/{quote(name, safe='')}"
        size, refused = 0, ""
        try:
            async with self._answer("GET", path, seconds=_SNAPSHOT_SECONDS, pause=_SNAPSHOT_PAUSE_SECONDS) as response:
                if response.status == 200:
                    with file.open("wb") as writing:
                        async for piece in response.content.iter_chunked(_PIECE_BYTES):
                            size += await asyncio.to_thread(writing.write, piece)
                else:
                    refused = f"{response.status}: {await response.text()}"
        except EngineError as error:
            raise EngineError(f"Qdrant's answer to GET {path} was cut after {size} bytes: {error}") from error
        if refused:
            raise EngineError(f"Qdrant answered GET {path} with {refused}")
        return size

    async def delete_snapshot(self, collection: str, name: str) -> None:
        """Delete a stock snapshot from the engine's own disk."""
        await self._request("DELETE", f"{_snapshots(collection)}/{quote(name, safe='')}", None)

    async def _get(self, path: str, *, envelope: bool = True) -> Any:
        answer = await self._request("GET", path, None)
        return answer["result"] if envelope else answer

    async def _request(
        self, method: Literal["GET", "POST", "DELETE"], path: str, body: object, *, seconds: float = _SECONDS
    ) -> Any:
        async with self._answer(method, path, body, seconds=seconds) as response:
            if response.status == 200:
                return await response.json()
            raise EngineError(f"Qdrant answered {method} {path} with {response.status}: {await response.text()}")

    @contextlib.asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: object = None, *, seconds: float = _SECONDS, pause: float | None = None
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Ask, and turn what goes wrong with the answer, while it is read too, into EngineError."""
        import aiohttp  # noqa: PLC0415 - slow: an instance that starts places its files first

        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                f"http://127.0.0.1:{self.port}",
                headers={"Api-Key": self.api_key} if self.api_key else None,
                connector=aiohttp.TCPConnector(limit=16),
            )
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=2, sock_read=pause)
        try:
            async with self._opened.request(method, path, json=body, timeout=timeout) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EngineError(f"Qdrant did not answer {method} {path}: {error!r}") from error


def _snapshots(collection: str) -> str:
    return f"/collections/{quote(collection, safe='')}/snapshots"
