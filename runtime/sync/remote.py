"""One Qdrant over REST, wherever it is: the source, the target, or a scratch engine of our own.

Owns the requests that a sync makes, what their answers mean, and which of them are made again. Keeps no data: pages
pass through as bytes, snapshots as streams.
"""

import io
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
import stamina
from yarl import URL

from runtime.errors import EngineError
from runtime.sync.pages import Page, PointId, page

_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)
# A snapshot of many gigabytes takes its time; a stream that stands still is given up.
_SNAPSHOT_TIMEOUT = aiohttp.ClientTimeout(total=4 * 3600, sock_connect=10)
_STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
_PIECE_BYTES = 1024 * 1024
# Twice what an engine takes in one request. Beyond it a page is asked for again with fewer points.
_LARGEST_ANSWER = 64 * 1024 * 1024
_ATTEMPTS = 5
_LONGEST_RETRY_SECONDS = 60.0
_PASSING = frozenset({429, 500, 502, 503, 504})

Method = Literal["GET", "POST", "PUT", "DELETE"]


class Denied(EngineError):
    """The key does not allow it, or there is none."""


class Absent(EngineError):
    """There is no such thing, or no such route."""


class TooLarge(EngineError):
    """The answer is larger than may be held in memory."""


class Passing(EngineError):
    """It did not answer, or said that it cannot just now: the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stock snapshot on the engine's own disk. `sha256` is what the engine says of it, None if it says nothing."""

    name: str
    size: int
    sha256: str | None


class Remote:
    """A client for one engine. `what` names it in errors, `key_name` the variable with its key. Close it in the end."""

    def __init__(self, url: str, api_key: str | None, *, what: str, key_name: str) -> None:
        self.url = url
        self.what = what
        self._key_name = key_name
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        self._session = aiohttp.ClientSession(
            headers=headers | ({"Api-Key": api_key} if api_key else {}),
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(limit=8),
        )

    def __str__(self) -> str:
        return f"the {self.what} {self.url}"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    async def version(self) -> str:
        """Return the engine's version, as `1.19.0`."""
        try:
            return str(json.loads(await self._request("GET", "/"))["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{self} does not say which Qdrant it is", hint="Check the address") from error

    async def result(self, method: Method, path: str, body: object = None, *, again: bool = True) -> Any:
        """Send one request and return the answer's result. Raises EngineError, in one of its kinds."""
        data = None if body is None else json.dumps(body).encode()
        answer = await self._request(method, path, data, again=again)
        try:
            return json.loads(answer)["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{self} answered {method} {path} with something that is not Qdrant's") from error

    async def collections(self) -> list[str]:
        """Return the collections' names, sorted."""
        return sorted(entry["name"] for entry in (await self.result("GET", "/collections"))["collections"])

    async def aliases(self) -> dict[str, str]:
        """Return every alias with its collection."""
        found = (await self.result("GET", "/aliases"))["aliases"]
        return {entry["alias_name"]: entry["collection_name"] for entry in found}

    async def count(self, collection: str) -> int:
        """Return a collection's exact number of points."""
        return int((await self.result("POST", f"{_of(collection)}/points/count", {"exact": True}))["count"])

    async def scroll(self, collection: str, offset: PointId | None, limit: int) -> Page:
        """Return the points from an id on (None: from the first), with everything they have. Raises TooLarge."""
        asked = {"offset": offset, "limit": limit, "with_payload": True, "with_vector": True}
        return page(await self._request("POST", f"{_of(collection)}/points/scroll", json.dumps(asked).encode()))

    async def upsert(self, collection: str, raw: bytes) -> None:
        """Write points, given as a JSON array; they are there when it returns."""
        await self._request("PUT", f"{_of(collection)}/points?wait=true", b'{"points":' + raw + b"}")

    async def delete(self, collection: str, ids: Sequence[PointId]) -> None:
        """Delete points; they are gone when it returns."""
        await self.result("POST", f"{_of(collection)}/points/delete?wait=true", {"points": list(ids)})

    async def create_snapshot(self, collection: str) -> Snapshot:
        """Have the engine make a stock snapshot. Asked once: an answer that is lost may have left one behind."""
        found = json.loads(
            await self._request(
                "POST", f"{_of(collection)}/snapshots?wait=true", None, timeout=_SNAPSHOT_TIMEOUT, again=False
            )
        )["result"]
        return Snapshot(str(found["name"]), int(found["size"]), found.get("checksum"))

    async def delete_snapshot(self, collection: str, name: str) -> None:
        """Delete a stock snapshot; one that is gone is no error."""
        try:
            await self.result("DELETE", f"{_of(collection)}/snapshots/{quote(name, safe='')}?wait=true")
        except Absent:
            return

    async def read_snapshot(self, collection: str, snapshot: Snapshot, offset: int) -> AsyncGenerator[bytes, None]:
        """Yield a snapshot's bytes from an offset on. Raises Passing when the connection ends early."""
        path = f"{_of(collection)}/snapshots/{quote(snapshot.name, safe='')}"
        headers = {"Range": f"bytes={offset}-"} if offset else None
        try:
            async with self._send("GET", path, None, _STREAM_TIMEOUT, headers) as response:
                if offset and response.status == 200:
                    raise EngineError(f"{self} cannot continue a download that was cut")
                if response.status not in {200, 206}:
                    raise self._refusal("GET", path, response.status, await response.text())
                async for piece in response.content.iter_chunked(_PIECE_BYTES):
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Passing(f"{self} broke off the snapshot of {collection!r}: {error!r}") from error

    async def recover(self, collection: str, location: str, sha256: str | None) -> None:
        """Have the engine fetch a stock snapshot and put it in the collection's place. `location` may be a secret."""
        body = {"location": location, "priority": "snapshot"} | ({"checksum": sha256} if sha256 else {})
        path = f"{_of(collection)}/snapshots/recover?wait=true"
        try:
            await self._request("PUT", path, json.dumps(body).encode(), timeout=_SNAPSHOT_TIMEOUT, again=False)
        except EngineError as error:
            # In whatever form it is told: what follows the question mark is as good as a key.
            bare = location.partition("?")[0]
            told = re.sub(rf"{re.escape(bare)}\?\S*", bare, error.message)
            raise type(error)(told, hint=error.hint) from None

    async def _request(
        self,
        method: Method,
        path: str,
        body: bytes | None = None,
        *,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,  # noqa: ASYNC109 - aiohttp keeps it, with its parts
        again: bool = True,
    ) -> bytes:
        """Return the body of a 200. What fails for a while is asked again: every request here may be repeated."""
        async for attempt in stamina.retry_context(
            on=Passing,
            attempts=_ATTEMPTS if again else 1,
            timeout=_LONGEST_RETRY_SECONDS,
            wait_initial=0.1,
            wait_max=5,
            wait_jitter=0.2,
        ):
            with attempt:
                return await self._once(method, path, body, timeout)
        raise AssertionError("stamina ends with a result or an error")

    async def _once(self, method: Method, path: str, body: bytes | None, timeout: aiohttp.ClientTimeout) -> bytes:  # noqa: ASYNC109
        try:
            async with self._send(method, path, body, timeout) as response:
                answer = bytearray()
                async for piece in response.content.iter_chunked(_PIECE_BYTES):
                    answer += piece
                    if len(answer) > _LARGEST_ANSWER:
                        raise TooLarge(f"{self} answered {method} {path} with more than {_LARGEST_ANSWER:,} bytes")
                if response.status == 200:
                    return bytes(answer)
                raise self._refusal(method, path, response.status, answer[:500].decode(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Passing(
                f"{self} did not answer {method} {path}: {error!r}", hint="Is it there, and reachable from here?"
            ) from error

    def _send(
        self,
        method: Method,
        path: str,
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
        headers: dict[str, str] | None = None,
    ) -> "aiohttp.client._RequestContextManager":
        # Redirects are not followed: they would take the key along.
        return self._session.request(
            method,
            URL(self.url + path, encoded=True),
            data=None if body is None else io.BytesIO(body),  # sent in pieces: it may be large
            timeout=timeout,
            headers=headers,
            allow_redirects=False,
        )

    def _refusal(self, method: Method, path: str, status: int, answer: str) -> EngineError:
        message = f"{self} answered {method} {path} with {status}: {answer}"
        if status in {401, 403}:
            return Denied(message, hint=f"Set {self._key_name} to a key that may do this")
        if status == 404:
            return Absent(message)
        if status in _PASSING:
            return Passing(message)
        return EngineError(message)


def _of(collection: str) -> str:
    return f"/collections/{quote(collection, safe='')}"
