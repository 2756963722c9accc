"""What probes and monitors ask: is it up, does it serve, is the data safe.

Owns the status codes of /health, /startup and /live. The facts come from `view`.
"""

import time
from typing import Final

from aiohttp import web

from runtime.api import view
from runtime.instance import Instance, Role
from runtime.settings import Settings

# Cloud Run ends a container whose start-up probe has not passed after 240 s. A restore that takes longer goes on
# behind a port that answers 503.
_PROBE_SECONDS: Final = 220.0


class Probes:
    """The handlers; open to everybody, and no answer holds a secret."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings
        self._started = time.monotonic()

    async def health(self, _request: web.Request) -> web.Response:
        """200 while the instance serves, else 503."""
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
