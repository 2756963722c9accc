import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from runtime import contract
from runtime.api.app import agent_app
from tests.commands.conftest import Made
from tests.support.lineages import Served, environment, served

MENDED_SECONDS = 20.0


@asynccontextmanager
async def agent(made: Made, storage: Path, **more: str) -> AsyncIterator[tuple[Served, aiohttp.ClientSession]]:
    """Run an instance and its agent; give a client of the agent."""
    variables = environment(
        f"file://{made.bucket}", storage, BACKUP_QUIET_SECONDS="0.1", BACKUP_MAX_AGE_SECONDS="5", **more
    )
    async with served(variables) as one:
        runner = web.AppRunner(agent_app(one.instance, one.settings), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
                yield one, client
        finally:
            await runner.cleanup()


async def verified(client: aiohttp.ClientSession, **headers: str) -> tuple[int, dict[str, object]]:
    """Ask for a verification; return the status and the answer."""
    async with client.post(contract.VERIFY_ROUTE, headers=headers) as response:
        return response.status, await response.json()


def test_a_writer_whose_newest_backup_is_damaged_saves_everything_anew(made: Made, tmp_path: Path) -> None:
    """500 names the damage; soon after there is a full backup that needs none of the old packs."""

    async def run() -> None:
        """Damage the newest backup under a writer."""
        async with agent(made, tmp_path / "storage") as (one, client):
            status, answer = await verified(client)
            assert (status, answer["ok"], answer["backup"]) == (200, True, made.ids[2])

            manifest = json.loads((made.bucket / "manifests" / f"{made.ids[2]}.json").read_text())
            (made.bucket / min(manifest["packs"])).unlink()
            status, answer = await verified(client)
            assert (status, answer["ok"]) == (500, False)
            assert str(min(manifest["packs"])) in json.dumps(answer["damage"])

            async with asyncio.timeout(MENDED_SECONDS):
                while (await verified(client))[0] != 200:
                    await asyncio.sleep(0.05)
            newest = one.instance.writing.base.manifest
            assert newest is not None
            assert not newest.packs.keys() & manifest["packs"].keys()
            assert (newest.points, newest.aliases) == (35, {"library": "books"})

    asyncio.run(run())


def test_only_who_may_act_may_ask(made: Made, tmp_path: Path) -> None:
    """The read-only key is not enough: a verification may start a backup."""

    async def run() -> None:
        """Ask with each key."""
        keys = {"QDRANT_API_KEY": "full", "QDRANT_READ_ONLY_API_KEY": "half"}
        async with agent(made, tmp_path / "storage", **keys) as (_, client):
            assert (await verified(client))[0] == 401
            assert (await verified(client, **{"api-key": "half"}))[0] == 403
            assert (await verified(client, **{"api-key": "full"}))[0] == 200

    asyncio.run(run())
