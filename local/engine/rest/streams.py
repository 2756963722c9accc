"""The shard streams over HTTP: one instant of a shard, captured before the first byte and sent in chunks."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Executor

from aiohttp import web

from local.engine.capture import Capture
from local.engine.node import Node
from local.engine.options import Options
from local.engine.refusal import Json, Refusal
from local.engine.shard import NothingNew


def add_routes(app: web.Application, node: Node, options: Options, pool: Executor) -> None:
    """Add the plain and the partial stream."""
    streamer = _Streamer(node, options.stream_bytes_per_second, pool)
    shard = "/collections/{name}/shards/{shard}/snapshot"
    app.router.add_get(shard, streamer.plain)
    app.router.add_post(f"{shard}/partial/create", streamer.partial)


def is_stream(path: str) -> bool:
    """Answer whether a path is one of the two routes here, which refuse in plain text."""
    return path.endswith(("/snapshot", "/snapshot/partial/create"))


class _Streamer:
    def __init__(self, node: Node, bytes_per_second: int, pool: Executor) -> None:
        self._node = node
        self._bytes_per_second = bytes_per_second
        self._pool = pool

    async def plain(self, request: web.Request) -> web.StreamResponse:
        return await self._send(request, None)

    async def partial(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            manifest = json.loads(raw)
            _check(manifest)
        except ValueError as error:
            return web.Response(status=400, text=f"Json deserialize error: {error}")
        return await self._send(request, manifest)

    async def _send(self, request: web.Request, manifest: Json | None) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        try:
            capture = await loop.run_in_executor(self._pool, self._capture, request, manifest)
        except NothingNew:
            return web.Response(status=304)
        except Refusal as refusal:  # these routes alone answer in plain text
            return web.Response(status=refusal.status, text=refusal.text)
        try:
            stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
            name = f"{request.match_info['name']}-shard-{request.match_info['shard']}-{stamp}.snapshot"
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Disposition": f'attachment; filename="{name}"',
                }
            )
            response.enable_chunked_encoding()
            await response.prepare(request)
            chunks = capture.stream()
            while chunk := await loop.run_in_executor(self._pool, next, chunks, b""):
                await self._write(response, chunk)
            await response.write_eof()
            return response
        finally:
            await loop.run_in_executor(self._pool, capture.close)

    def _capture(self, request: web.Request, manifest: Json | None) -> Capture:
        collection = self._node.collection(request.match_info["name"])
        target = self._node.temporary / f"stream-{secrets.token_hex(8)}"
        return collection.shard(_number(request.match_info["shard"])).capture(target, manifest)

    async def _write(self, response: web.StreamResponse, chunk: bytes) -> None:
        if not self._bytes_per_second:
            await response.write(chunk)
            return
        for part in _split(chunk, max(self._bytes_per_second // 10, 1)):
            await response.write(part)
            await asyncio.sleep(len(part) / self._bytes_per_second)


def _split(chunk: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(chunk), size):
        yield chunk[start : start + size]


def _number(text: str) -> int:
    if not text.isdigit():
        raise Refusal(400, f"Deserialize error in path parameters: can not parse {text!r} to a u32")
    return int(text)


def _check(manifests: Json) -> None:
    if not isinstance(manifests, dict):
        raise ValueError("invalid type, expected a map")  # noqa: TRY004  (reported like a parser's error)
    for manifest in manifests.values():
        if not isinstance(manifest, dict):
            kind = f"integer `{manifest}`" if isinstance(manifest, int) else repr(manifest)
            raise ValueError(f"invalid type: {kind}, expected struct SegmentManifest at line 1 column 7")  # noqa: TRY004
        for name in ("segment_id", "segment_version", "file_versions"):
            if name not in manifest:
                raise ValueError(f"missing field `{name}`")
