"""The REST side of the gate: every request that is not known to be a read, carried to Qdrant byte for byte.

Owns the pass-through: bodies streamed in both directions, raw paths, hop-by-hop headers, and what Qdrant's
status says about a write. Decides nothing about writes itself: that is the gate's, by way of `passage`.
What the engine answers is passed on as it is; only a refusal and a failure to reach the engine are ours.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from runtime.edge.answers import rest_answer, rest_refusal
from runtime.edge.effects import Effect, Outcome
from runtime.edge.gate import Gate, Refused
from runtime.edge.kept import Kept
from runtime.edge.passage import Passage, passage, takes_place
from runtime.edge.recording import Sent
from runtime.edge.rest_routes import classify_rest
from runtime.edge.write_key import MISSING

PIECE_BYTES: Final = 64 * 1024
# HAProxy's buffer is the limit of a request's head; this only has to be no smaller.
HEAD_BYTES: Final = 64 * 1024
# Cloud Run ends any request after an hour.
LONGEST_ANSWER_SECONDS: Final = 3600.0
# Qdrant closes an idle connection after 5 s: ours must be gone before, or a write would meet a closed one.
IDLE_SECONDS: Final = 4.0
CONNECTIONS: Final = 1000
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",  # codespell:ignore te
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NEVER_ADDED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# Not 403 and 404: in a batch they may be the answer to a later operation, the earlier ones applied.
_NOT_REACHED: Final = frozenset({401, 405, 413})
# Said of the data: the same write would be refused again.
_REFUSED: Final = frozenset({400, 404, 409, 422})


def rest_app(gate: Gate, upstream: str, resolve: Callable[[str], str]) -> web.Application:
    """Return the pass-through to the engine at `upstream` (`http://host:port`); `rest_runner` runs it."""
    app = web.Application()
    session = web.AppKey("session", aiohttp.ClientSession)

    async def engine(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=LONGEST_ANSWER_SECONDS, sock_connect=5),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NEVER_ADDED,
        ) as opened:
            # aiohttp sends a PUT or DELETE again when its connection is cut: the second answer would speak
            # of what the first had already changed. There is no public switch.
            opened._retry_connection = False  # noqa: SLF001
            app[session] = opened
            yield

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await _Exchange(request, app[session], upstream, gate, resolve).answer()
        except Refused as refused:
            return _failure(503, refused.reason, retry_after=refused.retry_after)
        except aiohttp.ClientConnectorError:
            return _failure(503, "the engine is not running", retry_after=1)
        except TimeoutError:
            return _failure(504, "the engine did not answer in time; the request may have been applied")
        except (aiohttp.ClientError, ConnectionError):
            return _failure(502, "the connection to the engine was cut; the request may have been applied")
        except UnicodeEncodeError:
            return _failure(400, "a header is not valid UTF-8")

    app.cleanup_ctx.append(engine)
    app.router.add_route("*", "/{anything:.*}", handle)
    return app


def rest_runner(app: web.Application) -> web.AppRunner:
    """Return a runner with what a pass-through needs: no decompression, long idle connections, no cancelling.

    A client that goes away does not cancel its request: the write may still be applied, and its place in the
    gate is kept until the engine has answered.
    """
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=False,
        keepalive_timeout=LONGEST_ANSWER_SECONDS,
        max_line_size=HEAD_BYTES,
        max_field_size=HEAD_BYTES,
        shutdown_timeout=0.5,
    )


def outcome_of(status: int) -> Outcome:
    """Tell what the engine's status says about a write."""
    if 200 <= status < 300:
        return Outcome.APPLIED
    if status in _NOT_REACHED:
        return Outcome.UNTOUCHED
    if status in _REFUSED:
        return Outcome.REFUSED
    if status == 429:
        return Outcome.LIMITED
    return Outcome.DENIED if 400 <= status < 500 else Outcome.UNANSWERED


class _Exchange:
    """One request and its answer.

    The place in the gate is taken when the last bytes of the body are at hand and before they are sent:
    Qdrant acts on whole bodies only, and a slow client must not keep a backup's barrier waiting.
    """

    def __init__(
        self,
        request: web.Request,
        session: aiohttp.ClientSession,
        upstream: str,
        gate: Gate,
        resolve: Callable[[str], str],
    ) -> None:
        self._request = request
        self._session = session
        self._upstream = upstream
        self._gate = gate
        self._resolve = resolve
        self._write = classify_rest(request.method, request.raw_path)
        self._kept = Kept(gate.recorder if takes_place(self._write) else None)
        self._place: Passage | None = None
        self._refused: Refused | None = None

    async def answer(self) -> web.StreamResponse:
        """Carry the request to the engine and the answer back; every failure is raised."""
        if not self._request.raw_path.startswith("/"):
            return _failure(400, "the request target must be a path")
        if takes_place(self._write) and self._gate.write_key.is_missing(self._request.headers.items()):
            return _failure(401, MISSING)
        async with AsyncExitStack() as exchange:
            exchange.callback(self._kept.release)
            async with AsyncExitStack() as places:
                engine = await self._send(places)
                exchange.callback(engine.close)
                first = await _piece(engine.content)
                if self._place is not None:
                    if self._write is not None and self._write.effect is not Effect.UNKNOWN:
                        first += await engine.content.read()  # a batch's answer, never more than its request
                        self._place.answer = rest_answer(first)
                    outcome = outcome_of(engine.status)
                    self._place.outcome = rest_refusal(self._write, first) if outcome is Outcome.REFUSED else outcome
            if not engine.content.at_eof():
                return await self._stream(engine, first)
            await engine.release()
            return web.Response(status=engine.status, body=first, headers=_end_to_end(engine.headers))

    async def _send(self, places: AsyncExitStack) -> aiohttp.ClientResponse:
        content = self._request.content
        headers = _end_to_end(self._request.headers)
        if takes_place(self._write) and "Accept-Encoding" in headers:
            headers["Accept-Encoding"] = "identity"  # its answer is read here
        first = await _piece(content)
        await self._kept.expect(self._request.content_length or 0)
        await self._kept.add(first)
        body: bytes | AsyncIterator[bytes] | None = first or None
        if content.at_eof():
            await self._take_place(places)
        else:
            if (length := self._request.content_length) is not None:
                headers["Content-Length"] = str(length)
            body = self._pieces(first, places)
        try:
            return await self._session.request(
                self._request.method,
                URL(self._upstream + self._request.raw_path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError:
            if self._place is not None:
                self._place.outcome = Outcome.UNTOUCHED
            raise
        except aiohttp.ClientError:
            if self._refused is not None:
                raise self._refused from None
            raise

    async def _pieces(self, first: bytes, places: AsyncExitStack) -> AsyncIterator[bytes]:
        held = first
        async for piece in self._request.content.iter_any():
            yield held
            await self._keep(piece)
            held = piece
        try:
            await self._take_place(places)
        except Refused as refused:
            self._refused = refused
            raise
        yield held

    async def _keep(self, piece: bytes) -> None:
        try:
            await self._kept.add(piece)
        except Refused as refused:
            self._refused = refused
            raise

    async def _take_place(self, places: AsyncExitStack) -> None:
        if self._write is not None and takes_place(self._write):
            # A compressed body is none that could be joined to others, or sent again without its headers.
            body = None if "Content-Encoding" in self._request.headers else self._kept.body
            sent = Sent("rest", self._request.method, self._request.raw_path, body)
            self._place = await places.enter_async_context(passage(self._gate, self._write, self._resolve, sent))

    async def _stream(self, engine: aiohttp.ClientResponse, first: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(status=engine.status, headers=_end_to_end(engine.headers))
        answer.content_length = engine.content_length
        await answer.prepare(self._request)
        await answer.write(first)
        async for piece in engine.content.iter_any():
            await answer.write(piece)
        await answer.write_eof()
        return answer


async def _piece(content: aiohttp.StreamReader) -> bytes:
    """Return the whole of a small body, or at least PIECE_BYTES of a large one."""
    pieces: list[bytes] = []
    size = 0
    while size < PIECE_BYTES and not content.at_eof():
        pieces.append(await content.readany())
        size += len(pieces[-1])
    return b"".join(pieces)


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lowered := name.lower()) not in _HOP_BY_HOP and lowered not in named
    )


def _failure(status: int, reason: str, *, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response({"status": {"error": reason}, "time": 0.0}, status=status, headers=headers)
