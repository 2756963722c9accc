"""What a person or a schedule tells an instance to do, and what it says of its backups.

Owns the answers of /api/snapshot, /api/verify and /api/backups. Who may ask is decided before; what is done is the
instance's.
"""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web

from runtime import contract
from runtime.errors import NotTheWriter
from runtime.instance import Instance
from runtime.logs import get_logger
from runtime.repository import names
from runtime.repository.catalogue import describe, listing
from runtime.repository.manifest import Manifest
from runtime.settings import Settings
from runtime.verify import MOST_DAMAGE_LOGGED, look
from runtime.writing import Saved

log = get_logger()


class Control:
    """The handlers."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings

    async def snapshot(self, request: web.Request) -> web.Response:
        """Save now. 200 with what each collection came to, also when there was nothing to save.

        There is nothing to save, whoever is asked, while the last writer has let go and nobody has claimed since: a
        standby after a rollback says so instead of 409. Where stock snapshots are written at start, or with
        `?files=true`, they are written here too. A browser's form is led back to the page.
        """
        saved, newest, manifest = await self._save()
        if "text/html" in request.headers.get("accept", ""):
            return web.Response(status=303, headers={"Location": contract.STATUS_ROUTE})
        files = self._settings.snapshot_on_start or request.query.get("files") == "true"
        stock = [asdict(target) for target in await self._instance.snapshots("api")] if files else None
        return web.json_response(
            {
                "targets": _kept(saved, manifest) if stock is None else stock,
                "backup": names.manifest_id(newest) if newest else None,
                "committed": saved.manifest is not None,
                "streamed_bytes": saved.streamed_bytes,
                "packed_bytes": saved.packed_bytes,
                "held_milliseconds": round(saved.held_seconds * 1000, 1),
                "seconds": round(saved.seconds, 3),
            }
        )

    async def verify(self, _request: web.Request) -> web.Response:
        """Look at the newest backup, the cheap way. 500 when it is damaged; the writer then saves everything anew."""
        found = await look(self._instance.lineage.repository, None)
        writing = self._instance.writing
        if not found.ok:
            mends = self._instance.lineage.is_writer and writing.base.name == names.manifest(found.backup)
            log.error(
                "verify.damaged",
                message=f"The newest backup {found.backup} is damaged" + (": saving everything anew" if mends else ""),
                damage=[f"{damage.what} {damage.problem}" for damage in found.damage[:MOST_DAMAGE_LOGGED]],
            )
            if mends:
                writing.start_over()
        return web.json_response(found.facts(), status=200 if found.ok else 500)

    async def backups(self, _request: web.Request) -> web.Response:
        """Return the committed backups, newest first, and whether they hold all that was ever acknowledged.

        `saved` is true while the last writer has let go and nobody has claimed since, and was so when HEAD was read.
        """
        repository = self._instance.lineage.repository
        state = await repository.head()
        saved = state is not None and state.head.clean
        return web.json_response({"saved": saved, "backups": await listing(repository)})

    async def backup(self, request: web.Request) -> web.Response:
        """Return one backup."""
        return web.json_response(await describe(self._instance.lineage.repository, request.match_info["identifier"]))

    async def _save(self) -> tuple[Saved, str | None, Manifest | None]:
        """Save; return the outcome, and the newest backup's name and content. Raises as `Writing.save`."""
        writing = self._instance.writing
        try:
            saved = await writing.save("api")
        except NotTheWriter:
            repository = self._instance.lineage.repository
            state = await repository.head()
            if state is None or not state.head.clean or state.head.manifest is None:
                raise
            newest = await repository.manifest(state.head.manifest, state.head.manifest_sha256)
            now = asyncio.get_running_loop().time()
            return Saved(None, (), 0, 0, 0.0, 0.0, now), state.head.manifest, newest
        return saved, writing.base.name, writing.base.manifest


def _kept(saved: Saved, manifest: Manifest | None) -> list[dict[str, Any]]:
    """Return what a backup came to for each collection that it holds."""
    return [
        {
            "collection": name,
            "status": "completed" if saved.manifest and name in saved.looked_at else "skipped",
            "points": entry.points,
        }
        for name, entry in (manifest.collections.items() if manifest else ())
    ]
