"""The agent's HTTP routes, on its own port and, through HAProxy, on the public one.

Owns the table of routes with the right each needs, and what a failure becomes. The answers are in `probes`, `control`,
`metrics` and `page`.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from runtime import contract, trace
from runtime.api.access import Access, Denied, Right
from runtime.api.control import Control
from runtime.api.going_back import GoingBack
from runtime.api.google_tokens import CertificatesUnavailable, GoogleTokens
from runtime.api.limits import Limits, TooMany
from runtime.api.overview import Overview
from runtime.api.page import Page
from runtime.api.probes import Probes
from runtime.backup import Busy
from runtime.errors import IntegrityError, NothingThere, NotTheWriter, RuntimeFailure, StoreError
from runtime.instance import Instance
from runtime.logs import get_logger
from runtime.settings import Settings

log = get_logger()

# No route takes a body that it reads.
_MOST_BODY_BYTES: Final = 16 * 1024

_STATUS_OF: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NothingThere, 404),
    (NotTheWriter, 409),
    (Busy, 503),
    (StoreError, 503),
    (CertificatesUnavailable, 503),
    (IntegrityError, 500),
    (RuntimeFailure, 500),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def agent_app(instance: Instance, settings: Settings, *, tokens: GoogleTokens | None = None) -> web.Application:
    """Return the application; the caller runs it. `tokens`: how Google's are checked, if not against Google."""
    app = web.Application(middlewares=[_in_context(settings), _failures], client_max_size=_MOST_BODY_BYTES)
    guard = _Guard(Access(settings, tokens or GoogleTokens(settings)), Limits())
    probes, control = Probes(instance, settings), Control(instance, settings)
    overview = Overview(instance.lineage.repository)
    page = Page(instance, settings, overview)
    app.router.add_get(contract.HEALTH_ROUTE, probes.health)
    app.router.add_get(contract.STARTUP_ROUTE, probes.startup)
    app.router.add_get(contract.LIVE_ROUTE, probes.live)
    app.router.add_get(contract.STATUS_ROUTE, guard(Right.LOOK, page.status))
    app.router.add_get(contract.METRICS_ROUTE, guard(Right.LOOK, _scrape(instance, settings, overview)))
    app.router.add_get(contract.BACKUPS_ROUTE, guard(Right.LOOK, control.backups))
    app.router.add_get(contract.BACKUPS_ROUTE + "/{identifier}", guard(Right.LOOK, control.backup))
    going_back = GoingBack(instance, settings)
    app.router.add_post(contract.ROLLBACK_ROUTE, guard(Right.GO_BACK, going_back.rollback))
    app.router.add_post(contract.SNAPSHOT_ROUTE, guard(Right.ACT, control.snapshot))
    app.router.add_post(contract.VERIFY_ROUTE, guard(Right.ACT, control.verify))
    return app


def _scrape(instance: Instance, settings: Settings, overview: Overview) -> Handler:
    @functools.cache
    def made() -> Handler:
        # Not before somebody asks: importing it is a tenth of an instance's start.
        from runtime.api.metrics import Metrics  # noqa: PLC0415

        return Metrics(instance, settings, overview).scrape

    async def scrape(request: web.Request) -> web.StreamResponse:
        return await made()(request)

    return scrape


class _Guard:
    """Puts a handler behind the caller's right to it and the agent's limits."""

    def __init__(self, access: Access, limits: Limits) -> None:
        self._access = access
        self._limits = limits

    def __call__(self, right: Right, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            await self._access.require(request, right)
            with self._limits.place():
                return await handler(request)

        return guarded


def _in_context(settings: Settings) -> Any:
    @web.middleware
    async def in_context(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give every line that is logged on the way the ids of its request."""
        with structlog.contextvars.bound_contextvars(**trace.context(request.headers, settings.project)):
            return await handler(request)

    return in_context


@web.middleware
async def _failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a failure with its message and hint, in Qdrant's error shape."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except Denied as error:
        log.warning("access.denied", message=f"{request.method} {request.path} was refused: {error}")
        return _denied(request, error)
    except TooMany:
        return _error(429, "too many requests to the control routes; come back in a second")
    except (RuntimeFailure, Busy) as error:
        status = next(status for kind, status in _STATUS_OF if isinstance(error, kind))
        message = str(error) or "writes in flight did not end in time; try again"
        return _error(status, message, kind=type(error).__name__ if isinstance(error, RuntimeFailure) else None)


def _denied(request: web.Request, error: Denied) -> web.Response:
    answer = _error(error.status, str(error))
    if error.status == 401:
        is_person = "text/html" in request.headers.get("accept", "")
        answer.headers["WWW-Authenticate"] = 'Basic realm="the api key, as password"' if is_person else "Bearer"
    return answer


def _error(status: int, message: str, *, kind: str | None = None) -> web.Response:
    """Return Qdrant's error shape, beside it the name of the error in `runtime.errors` for programs."""
    body: dict[str, Any] = {"status": {"error": message}, "time": 0.0} | ({"kind": kind} if kind else {})
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status in (429, 503) else {})
