"""A shard's snapshot stream, open at one instant.

Owns the request, the moment of capture and the end of the body. Blocking: made for a worker thread, where reading,
hashing and uploading overlap without the event loop.
"""

import http.client
import json
from urllib.parse import quote

from runtime.errors import EngineError, IntegrityError
from runtime.repository.manifest import SegmentManifests

# Qdrant gives up a stream that makes no progress for five minutes; so do we, sooner.
_SECONDS_WITHOUT_PROGRESS = 60.0

# An id that no segment has (they are random UUIDs), for a base that is equal to nothing: see `open_stream`.
_NO_SEGMENT = "00000000-0000-0000-0000-000000000000"


class ShardStream:
    """The body of a stream whose first byte has arrived: what it holds is decided. Close it in the end."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, what: str) -> None:
        self._connection = connection
        self._response = response
        self._what = what
        self._first = self._read(1)

    def read(self, size: int) -> bytes:
        """Return the next bytes, b'' at the end. Raises EngineError when the engine breaks off."""
        if self._first:
            first, self._first = self._first, b""
            return first
        return self._read(size)

    def finish(self) -> None:
        """Read what follows the archive: nothing but zeros, and the body's proper end. Raises IntegrityError."""
        while rest := self.read(65536):
            if rest.strip(b"\0"):
                raise IntegrityError(f"the stream of {self._what} goes on after its end")

    def close(self) -> None:
        """Let go of the connection; the engine stops a stream that was not read to its end."""
        self._connection.close()

    def _read(self, size: int) -> bytes:
        try:
            return self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"Qdrant broke off the stream of {self._what}: {error!r}") from error


def open_stream(
    port: int, api_key: str | None, collection: str, shard: str, base: SegmentManifests
) -> ShardStream | None:
    """Open the stream of what changed since `base` (empty: everything) and wait for its first byte.

    None: nothing changed. Qdrant compares manifests before it has worked off its update queue (read in the source of
    1.18.3 and 1.19.0), so its 304 can overlook a write that was acknowledged with `wait=false`. The stream itself
    waits for the queue: a 304 is therefore asked again with a base that equals nothing.
    """
    stream = _request(port, api_key, collection, shard, base)
    if stream is None and base:
        nothing = {"segment_id": _NO_SEGMENT, "segment_version": 0, "file_versions": {}}
        stream = _request(port, api_key, collection, shard, {**base, _NO_SEGMENT: nothing})
    return stream


def _request(port: int, api_key: str | None, collection: str, shard: str, base: SegmentManifests) -> ShardStream | None:
    what = f"shard {shard} of collection {collection!r}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS_WITHOUT_PROGRESS)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if api_key:
        headers["Api-Key"] = api_key
    path = f"/collections/{quote(collection, safe='')}/shards/{shard}/snapshot/partial/create"
    try:
        connection.request("POST", path, json.dumps(base), headers)
        response = connection.getresponse()
        if response.status == 304:
            connection.close()
            return None
        if response.status == 200:
            return ShardStream(connection, response, what)
        answer = response.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise EngineError(f"Qdrant did not stream {what}: {error!r}") from error
    except EngineError:
        connection.close()
        raise
    connection.close()
    raise EngineError(f"Qdrant refused to stream {what}: {response.status} {answer}")
