"""The agent's port: bound at once, answered as soon as what answers there is imported.

Owns the socket and the server's start and end. What is answered is in `runtime.api`.
"""

import socket
from typing import TYPE_CHECKING

from runtime import imports
from runtime.errors import ConfigError
from runtime.settings import Settings

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

    from runtime.instance import Instance

_MOST_WAITING = 128


class Agent:
    """The port is taken when this is made. Raises ConfigError when something else has it, or the public port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        _bound(settings.port, "PORT").close()
        self._socket = _bound(settings.agent_port, "AGENT_PORT")
        self._socket.listen(_MOST_WAITING)
        self._runner: AppRunner | None = None

    async def start(self, instance: "Instance") -> None:
        """Answer; whoever connected before has waited for it."""
        await imports.beside("aiohttp.web", "runtime.api.app")
        from aiohttp import web  # noqa: PLC0415

        from runtime.api.app import agent_app  # noqa: PLC0415

        self._runner = web.AppRunner(agent_app(instance, self._settings), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()


def _bound(port: int, name: str) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("0.0.0.0", port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"port {port} is in use: {error.strerror}", hint=f"Stop what uses it, or set {name}"
        ) from error
    bound.setblocking(False)
    return bound
