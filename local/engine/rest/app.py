"""The REST server: routes, envelope, keys, errors in Qdrant's form.

Calls into the engine block, so they run on threads; streams have a module of their own.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from local.engine.access import Access, Keys
from local.engine.node import Node
from local.engine.options import Options
from local.engine.refusal import Json, Refusal, as_refusal, malformed
from local.engine.rest import snapshots, streams
from local.engine.rest.calls import ROUTES, Answer, Call
from local.engine.telemetry import metrics, telemetry

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN: Final = ("/", "/healthz", "/readyz", "/livez")
_READS: Final = ("/points", "/scroll", "/count", "/search", "/query", "/batch")
_WITHOUT_BODY: Final = (("GET", False), ("GET", True), ("DELETE", False), ("DELETE", True), ("POST", True))
_BODY_BYTES: Final = 32 * 1024 * 1024


def application(node: Node, options: Options, pool: Executor) -> web.Application:
    """Answer the server's application."""
    keys = Keys(options.api_key, options.read_only_api_key)
    app = web.Application(client_max_size=_BODY_BYTES, middlewares=[_errors, _guard(keys)])
    for path, text in (
        ("/healthz", "healthz check passed"),
        ("/livez", "healthz check passed"),
        ("/readyz", "all shards are ready"),
    ):
        app.router.add_get(path, _constant(text))
    app.router.add_get("/", _root(options.version))
    app.router.add_get("/metrics", _metrics(node, options.version))
    app.router.add_get("/telemetry", _telemetry(node, options.version, pool))
    streams.add_routes(app, node, options, pool)
    snapshots.add_download(app, node, pool)
    for method, path, answer in (*ROUTES, *snapshots.ROUTES):
        app.router.add_route(method, path, _enveloped(node, answer, pool))
    return app


def success(result: Json, started: float) -> web.Response:
    """Answer a result in Qdrant's envelope."""
    return web.json_response({"result": result, "status": "ok", "time": time.perf_counter() - started})


def _enveloped(node: Node, answer: Answer, pool: Executor) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        started = time.perf_counter()
        call = Call(request.match_info, request.query, await body_of(request))
        loop = asyncio.get_running_loop()
        return success(await loop.run_in_executor(pool, answer, node, call), started)

    return handle


async def body_of(request: web.Request) -> Json:
    """Answer the JSON that was sent, or None."""
    raw = await request.read()
    if not raw and (request.method, request.path.endswith("/snapshots")) in _WITHOUT_BODY:
        return None
    if not raw:
        raise malformed("EOF while parsing a value at line 1 column 0")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise malformed(str(error)) from error


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed:
        return web.Response(status=404)
    except web.HTTPException as error:
        return web.Response(status=error.status)
    except Exception as error:  # noqa: BLE001  (the boundary: every failure has Qdrant's form)
        refusal = as_refusal(error)
    body = {"status": {"error": refusal.text}, "time": time.perf_counter() - started}
    return web.json_response(body, status=refusal.status)


def _guard(keys: Keys) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN:
            lower = {name.lower(): value for name, value in request.headers.items()}
            access, why = keys.access(lower)
            if access is Access.NONE:
                return web.Response(status=401, text=why)
            if access is Access.READ and not _is_read(request):
                text = f"Forbidden: {why}"
                if streams.is_stream(request.path):
                    return web.Response(status=403, text=text)
                raise Refusal(403, text)
        return await handler(request)

    return guard


def _is_read(request: web.Request) -> bool:
    path = request.path
    if request.method == "GET":
        return not path.endswith("/snapshot")
    searching = path.endswith(_READS) and not path.endswith("/points/batch")
    return request.method == "POST" and searching


def _constant(text: str) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    return handle


def _root(version: str) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.json_response({"title": "qdrant - vector search engine", "version": version, "commit": "embedded"})

    return handle


def _metrics(node: Node, version: str) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text=metrics(node, version))

    return handle


def _telemetry(node: Node, version: str, pool: Executor) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        started = time.perf_counter()
        level = int(request.query.get("details_level", "0"))
        loop = asyncio.get_running_loop()
        return success(await loop.run_in_executor(pool, telemetry, node, level, version), started)

    return handle
