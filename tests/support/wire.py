"""The way to an engine, with anything that can happen on it: requests counted, refused, held, cut at any byte.

Owns a reverse proxy in a thread of its own. What goes wrong is decided by a plan that sees each request.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Asked:
    """One request, as the plan sees it: `number` counts from 0, `key` is the API key that came along."""

    number: int
    method: str
    path: str
    body: bytes
    key: str | None = None

    def is_(self, method: str, ending: str) -> bool:
        """Whether it has this method and its path ends so."""
        return self.method == method and self.path.endswith(ending)


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    `status`: it is refused so, without reaching the engine. `cut`: its answer ends after so many bytes, with the
    connection; 0 for none at all. `before`: it never reaches the engine. `answer`: told instead of the engine's, or
    with `status`. `flip`: the first byte of the answer's body is another one.
    """

    status: int | None = None
    cut: int | None = None
    before: bool = False
    answer: bytes | None = None
    flip: bool = False


Plan = Callable[[Asked], Fault | None]


@dataclass
class Wire:
    """A running proxy. `asked` is what came, `plan` what is to go wrong with it."""

    engine: str
    plan: Plan = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def count(self, method: str, ending: str) -> int:
        """Return how many requests there were of this kind."""
        return sum(one.is_(method, ending) for one in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, or have it go wrong."""
        body = await request.read()
        asked = Asked(len(self.asked), request.method, request.path, body, request.headers.get("Api-Key"))
        self.asked.append(asked)
        # The plan may write to the engine itself: not on this loop.
        fault = await asyncio.to_thread(self.plan, asked) or Fault()
        if fault.status is not None:
            planned = fault.answer or b'{"status": {"error": "planned by the test"}, "time": 0.0}'
            return web.Response(body=planned, status=fault.status, content_type="application/json")
        if fault.answer is not None:
            return web.Response(body=fault.answer, content_type="application/json")
        if fault.before:
            return _reset(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.request(request.method, self.engine + request.path_qs, data=body, headers=headers) as upstream,
            ):
                return await self._pass(request, upstream, fault)
        except ConnectionResetError:  # whoever asked is gone
            return web.Response()

    async def _pass(self, request: web.Request, upstream: aiohttp.ClientResponse, fault: Fault) -> web.StreamResponse:
        """Pass an answer on, as far as the fault lets it."""
        response = web.StreamResponse(status=upstream.status)
        for name in ("Content-Type", "Content-Length", "Content-Range"):
            if name in upstream.headers:
                response.headers[name] = upstream.headers[name]
        if fault.cut == 0:
            return _reset(request)
        await response.prepare(request)
        left = fault.cut
        is_first = True
        async for piece in upstream.content.iter_any():
            data = bytes([piece[0] ^ 1]) + piece[1:] if fault.flip and is_first and piece else piece
            is_first = False
            if left is not None:
                data = data[:left]
                left -= len(data)
            await response.write(data)
            if left == 0:
                return _reset(request, response)
        await response.write_eof()
        return response


_HOP = {"host", "content-length", "transfer-encoding", "connection"}


def _reset(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """End the connection."""
    if request.transport is not None:
        request.transport.close()
    return response or web.Response()


@contextlib.contextmanager
def wire(engine: str) -> Iterator[Wire]:
    """Run a proxy in front of an engine until the block ends."""
    made = Wire(engine)
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        """Serve until told to stop."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", made.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(_STOP_SECONDS)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STOP_SECONDS)
        loop.close()
