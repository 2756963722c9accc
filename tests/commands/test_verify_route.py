import asyncio
import json
from pathlib import Path

import aiohttp

from runtime import contract
from tests.commands.agent import agent
from tests.commands.conftest import Made

MENDED_SECONDS = 20.0


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
