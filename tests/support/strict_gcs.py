"""A server of Cloud Storage's JSON API that is as strict as the service, with a fault on any request.

It runs in a thread of its own, keeps objects in memory, and records what it was asked. What it refuses, the
service refuses: wrong checksums, broken preconditions, gaps in a resumable upload, chunks of odd sizes. A
resumable upload is invisible until it is finalised.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web

from tests.support.strict_objects import MIB, Answer, Asked, StrictObjects

STOP_SECONDS = 5.0


class Wire(Enum):
    """What happens to one request on its way."""

    UNAVAILABLE = "503, without effect"
    BUSY = "429, without effect"
    RESET_BEFORE = "the connection ends, without effect"
    RESET_AFTER = "it takes effect, and the connection ends without an answer"
    CUT = "half of the answer's body arrives"
    FLIP = "one bit of the answer's body is wrong"
    FLIP_REQUEST = "one bit of the request's body is wrong"
    HALF_REQUEST = "half of the request's body arrives, and the connection ends"
    HALF_TAKEN = "the service keeps half of the body, and says so"
    SILENCE = "no answer"


@dataclass
class StrictGcs:
    """The running server: its objects, what it was asked, and what is to go wrong.

    `delay`: how many seconds after it took effect a request is answered.
    """

    objects: StrictObjects
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    plan: Callable[[Asked], Wire | None] = lambda _: None
    delay: Callable[[Asked], float] = lambda _: 0.0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def fail_once(self, wire: Wire, where: Callable[[Asked], bool], times: int = 1) -> None:
        """Let the next `times` requests that match go wrong."""
        left = [times]

        def plan(asked: Asked) -> Wire | None:
            if left[0] and where(asked):
                left[0] -= 1
                return wire
            return None

        self.plan = plan

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._loop = asyncio.get_running_loop()
        if self._runner is None:
            app = web.Application(client_max_size=1 << 32)
            app.router.add_route("*", "/{path:.*}", self.handle)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
        port = int(self.url.rpartition(":")[2] or 0)
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self.url = self.objects.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        assert self._runner is not None
        for site in list(self._runner.sites):
            await site.stop()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Be a server that is not running for the block: connections are refused. Its objects are kept."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.close(), self._loop).result(STOP_SECONDS)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result(STOP_SECONDS)

    def let_go(self) -> None:
        """End the connections that wait for an answer; nobody is left without one any more."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.quiet.set)

    async def end(self) -> None:
        """Answer nobody any more."""
        self.quiet.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or have it go wrong."""
        body = await request.read()
        asked = Asked(request.method, request.path, dict(request.query), dict(request.headers), body)
        wire = self.plan(asked)
        if wire in {Wire.UNAVAILABLE, Wire.BUSY}:
            return _response(self._note(asked, Answer.error(503 if wire is Wire.UNAVAILABLE else 429, "Planned")))
        if wire is Wire.RESET_BEFORE:
            return _reset(request)
        if wire is Wire.SILENCE:
            await self.quiet.wait()
            return _reset(request)
        if wire is Wire.FLIP_REQUEST:
            asked.body = _flipped(body)
        if wire in {Wire.HALF_REQUEST, Wire.HALF_TAKEN}:
            # The service keeps whole blocks of 256 KiB only.
            asked.body = body[: len(body) // 2 // (MIB // 4) * (MIB // 4)]
            asked.cut = True
        answer = self._note(asked, self.objects.answer(asked))
        if seconds := self.delay(asked):
            await asyncio.sleep(seconds)
        if wire in {Wire.RESET_AFTER, Wire.HALF_REQUEST}:
            return _reset(request)
        if wire is Wire.FLIP:
            answer.body = _flipped(answer.body)
        if wire is Wire.CUT:
            return await _cut(request, answer)
        return _response(answer)

    def _note(self, asked: Asked, answer: Answer) -> Answer:
        """Record what was asked and answered."""
        asked.status = answer.status
        self.asked.append(asked)
        return answer


@contextlib.contextmanager
def strict_gcs(*, bucket: str = "backups", page_size: int = 3) -> Iterator[StrictGcs]:
    """Run the server in a thread."""
    server = StrictGcs(StrictObjects(bucket, page_size))
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    done = asyncio.Event()

    async def serve() -> None:
        """Serve until told to stop."""
        await server.listen()
        ready.set()
        await done.wait()
        await server.end()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(STOP_SECONDS):
        raise TimeoutError("the strict server did not start")
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(STOP_SECONDS)
        loop.close()


def _response(answer: Answer) -> web.Response:
    """Send an answer."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _reset(request: web.Request) -> web.Response:
    """End the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send half of an answer."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    # What was written must leave before the connection ends.
    await asyncio.sleep(0.05)
    if request.transport is not None:
        request.transport.close()
    return response


def _flipped(body: bytes) -> bytes:
    """Return the bytes with one bit wrong."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
