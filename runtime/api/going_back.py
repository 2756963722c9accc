"""Going back to an older backup, asked for over HTTP.

Owns POST /api/backups/{id}/rollback and the wait until this instance serves what was gone back to. What is committed
is `runtime.rollback`'s, the same as for the command: the running writer, which may be this very instance, saves what
it has and stands by, and with the next write takes the lineage back.
"""

import asyncio
from typing import Final

from aiohttp import web

from runtime.backup import Busy
from runtime.errors import NotTheWriter
from runtime.instance import Instance, Role
from runtime.logs import get_logger
from runtime.repository import names
from runtime.rollback import rollback
from runtime.settings import Settings

log = get_logger()

# A restore that takes longer goes on; Cloud Run ends a request after 300 s unless it was told otherwise.
_SERVED_WITHIN_SECONDS: Final = 200.0
_POLL_SECONDS: Final = 0.05


class GoingBack:
    """The handler."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings
        self._under_way = asyncio.Lock()

    async def rollback(self, request: web.Request) -> web.Response:
        """Commit an older backup's content as the newest one. Answers when it is served, or was not in time."""
        if self._settings.instance_role == "reader":
            raise NotTheWriter("this instance only reads", hint="Ask the service that writes, or use `rollback ID`")
        if self._instance.role not in (Role.WRITER, Role.STANDBY):
            raise Busy(f"the instance is {self._instance.role}: ask again when /health says writer or standby")
        if self._under_way.locked():
            raise Busy("another rollback is under way; GET /api/backups shows when it is done")
        async with self._under_way:
            repository = self._instance.lineage.repository
            done = await rollback(repository, request.match_info["identifier"], self._settings, dry_run=False)
            log.warning(
                "rollback.committed",
                message=f"Went back to backup {done.to}, by request; what was newest is kept as {done.newest_before}",
                to=done.to,
                backup=done.committed,
                newest_before=done.newest_before,
            )
            serving = await self._serves(done.committed or "")
        return web.json_response({**done.facts(), "serving": serving})

    async def _serves(self, backup: str) -> bool:
        """Wait until the engine holds a backup, or what was written on top of it; False when that takes too long."""
        epoch, _ = names.order(backup)
        instance, newest = self._instance, names.manifest(backup)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SERVED_WITHIN_SECONDS
        while loop.time() < deadline and instance.role is not Role.DRAINING:
            if instance.replica.is_at(newest) or (instance.lineage.epoch or 0) > epoch:
                # Waits for whoever is starting it: what is placed is not served before it is compared. Not under the
                # deadline: a start that is cancelled half way would leave an engine that nobody compared.
                await instance.replica.start()
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False
