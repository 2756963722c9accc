"""The agent's HTTP routes, on its own port and, through HAProxy, on the public one.

Owns the table of routes, their answers and their status codes. The facts come from `view`; what a request does is
the instance's.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from runtime import contract
from runtime.api import access, view
from runtime.backup import Busy
from runtime.errors import IntegrityError, NothingThere, NotTheWriter, RuntimeFailure, StoreError
from runtime.instance import Instance, Role
from runtime.logs import get_logger
from runtime.repository import names
from runtime.repository.catalogue import describe, listing
from runtime.settings import Settings
from runtime.verify import look

log = get_logger()

# Cloud Run ends a container whose start-up probe has not passed after 240 s. A restore that takes longer goes on
# behind a port that answers 503.
_PROBE_SECONDS: Final = 220.0

_STATUS_OF: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NothingThere, 404),
    (NotTheWriter, 409),
    (Busy, 503),
    (StoreError, 503),
    (IntegrityError, 500),
    (RuntimeFailure, 500),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def agent_app(instance: Instance, settings: Settings) -> web.Application:
    """Return the application; the caller runs it."""
    app = web.Application(middlewares=[_failures], client_max_size=1024 * 1024)
    agent = _Agent(instance, settings)
    app.router.add_get(contract.HEALTH_ROUTE, agent.health)
    app.router.add_get(contract.STARTUP_ROUTE, agent.startup)
    app.router.add_get(contract.LIVE_ROUTE, agent.live)
    app.router.add_post(contract.SNAPSHOT_ROUTE, agent.snapshot)
    app.router.add_post(contract.VERIFY_ROUTE, agent.verify)
    app.router.add_get(contract.BACKUPS_ROUTE, agent.backups)
    app.router.add_get(contract.BACKUPS_ROUTE + "/{identifier}", agent.backup)
    return app


class _Agent:
    """The handlers."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings
        self._started = time.monotonic()

    async def health(self, _request: web.Request) -> web.Response:
        """200 while the instance serves, else 503; open to everybody, holds no secret."""
        serving, facts = view.health(self._instance, self._settings)
        headers = {} if serving else {"Retry-After": "1"}
        return web.json_response(facts, status=200 if serving else 503, headers=headers)

    async def startup(self, _request: web.Request) -> web.Response:
        """200 when the instance serves, or when the probe would end it otherwise."""
        done = self._instance.role in (Role.WRITER, Role.STANDBY)
        late = time.monotonic() - self._started > _PROBE_SECONDS
        return web.json_response(view.startup(self._instance), status=200 if done or late else 503)

    async def live(self, _request: web.Request) -> web.Response:
        """200 as long as the event loop turns."""
        return web.json_response({"status": "ok"})

    async def snapshot(self, request: web.Request) -> web.Response:
        """Save now. 200 with what each collection came to, also when there was nothing to save."""
        if not access.may_act(request, self._settings):
            return _refused()
        saved = await self._instance.writing.save("api")
        manifest = self._instance.writing.base.manifest
        targets = [
            {
                "collection": name,
                "status": "completed" if saved.manifest and name in saved.looked_at else "skipped",
                "points": entry.points,
            }
            for name, entry in (manifest.collections.items() if manifest else ())
        ]
        newest = self._instance.writing.base.name
        return web.json_response(
            {
                "targets": targets,
                "backup": names.manifest_id(newest) if newest else None,
                "committed": saved.manifest is not None,
                "streamed_bytes": saved.streamed_bytes,
                "packed_bytes": saved.packed_bytes,
                "held_milliseconds": round(saved.held_seconds * 1000, 1),
                "seconds": round(saved.seconds, 3),
            }
        )

    async def verify(self, request: web.Request) -> web.Response:
        """Look at the newest backup, the cheap way. 500 when it is damaged; the writer then saves everything anew."""
        if not access.may_act(request, self._settings):
            return _refused()
        found = await look(self._instance.lineage.repository, None)
        writing = self._instance.writing
        if not found.ok:
            mends = self._instance.lineage.is_writer and writing.base.name == names.manifest(found.backup)
            log.error(
                "verify.damaged",
                message=f"The newest backup {found.backup} is damaged" + (": saving everything anew" if mends else ""),
                damage=[f"{damage.what} {damage.problem}" for damage in found.damage[:10]],
            )
            if mends:
                writing.start_over()
        return web.json_response(found.facts(), status=200 if found.ok else 500)

    async def backups(self, request: web.Request) -> web.Response:
        """Return the committed backups, newest first."""
        if not access.may_read(request, self._settings):
            return _refused()
        return web.json_response({"backups": await listing(self._instance.lineage.repository)})

    async def backup(self, request: web.Request) -> web.Response:
        """Return one backup."""
        if not access.may_read(request, self._settings):
            return _refused()
        return web.json_response(await describe(self._instance.lineage.repository, request.match_info["identifier"]))


@web.middleware
async def _failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a failure with its message and hint, in Qdrant's error shape."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except (RuntimeFailure, Busy) as error:
        status = next(status for kind, status in _STATUS_OF if isinstance(error, kind))
        return _error(status, str(error) or "writes in flight did not end in time; try again")


def _refused() -> web.Response:
    return _error(401, "the control routes need the api key, as header `api-key` or `Authorization: Bearer`")


def _error(status: int, message: str) -> web.Response:
    body: dict[str, Any] = {"status": {"error": message}, "time": 0.0}
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 503 else {})
