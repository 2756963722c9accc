"""POST /api/backups/{id}/rollback, on the instance that is the writer itself."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from runtime import contract
from runtime.errors import NotTheWriter
from runtime.instance import Role
from runtime.repository import names
from tests.commands.agent import agent
from tests.commands.conftest import Made

POINT = {"points": [{"id": 77, "vector": [1.0, 2.0, 3.0, 4.0]}]}


async def asked(client: aiohttp.ClientSession, identifier: str) -> tuple[int, dict[str, Any]]:
    """Ask to go back to a backup; return status and answer."""
    async with client.post(contract.ROLLBACK_ROUTE.format(identifier=identifier)) as response:
        return response.status, await response.json()


async def got(client: aiohttp.ClientSession, method: str, route: str) -> tuple[int, dict[str, Any]]:
    """Ask anything else."""
    async with client.request(method, route) as response:
        return response.status, await response.json()


def test_the_writer_itself_comes_out_serving_the_older_backup(made: Made, tmp_path: Path) -> None:
    """It saves what it has, follows what was committed, and is the writer again with the next write."""

    async def run() -> None:
        """Write, go back, write."""
        async with agent(made, tmp_path / "storage", BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="120") as (
            one,
            client,
        ):
            await one.write("PUT", "/collections/books/points?wait=true", POINT)
            status, answer = await asked(client, made.ids[0])
            assert (status, answer["serving"], answer["to"]) == (200, True, made.ids[0])
            assert answer["points"] == {
                "books": {"now": 31, "then": 20},
                "drafts": {"now": None, "then": 3},
                "films": {"now": 5, "then": None},
            }
            admin = one.instance.replica.engine.admin
            assert str(one.instance.role) == Role.STANDBY
            assert sorted(await admin.collections()) == ["books", "drafts"]
            before = await one.repository.manifest(names.manifest(answer["newest_before"]))
            assert before.collections["books"].points == 31

            await one.write("PUT", "/collections/drafts/points?wait=true", POINT)
            assert str(one.instance.role) == Role.WRITER
            assert (await admin.count("books"), await admin.count("drafts")) == (20, 4)
            saved = await one.instance.writing.save("test")
            assert saved.manifest is not None
            newest = await one.repository.manifest(saved.manifest)
            assert newest.parent == names.manifest(answer["backup"])
            assert newest.collections["drafts"].points == 4

    asyncio.run(run())


def test_what_cannot_be_gone_back_to_changes_nothing(made: Made, tmp_path: Path) -> None:
    """Unknown or the newest: 404; damaged: 500. The instance stays what it was."""

    async def run() -> None:
        """Ask for each."""
        async with agent(made, tmp_path / "storage") as (one, client):
            assert (await asked(client, "00000009-0000000001"))[0] == 404
            status, answer = await asked(client, made.ids[2])
            assert (status, answer["kind"]) == (404, "NothingThere")
            manifest = await one.repository.manifest(names.manifest(made.ids[0]))
            (made.bucket / min(manifest.packs)).unlink()
            status, answer = await asked(client, made.ids[0])
            assert (status, answer["kind"]) == (500, "IntegrityError")
            admin = one.instance.replica.engine.admin
            assert (await admin.count("books"), await admin.count("films")) == (30, 5)
            assert (await got(client, "GET", contract.BACKUPS_ROUTE))[1]["backups"][0]["id"] == made.ids[2]

    asyncio.run(run())


def test_one_at_a_time(made: Made, tmp_path: Path) -> None:
    """Of two at once one is done, and the other is told to come back: a repeated request is not a second rollback."""

    async def run() -> None:
        """Ask twice."""
        async with agent(made, tmp_path / "storage") as (_, client):
            answers = await asyncio.gather(asked(client, made.ids[0]), asked(client, made.ids[0]))
            assert sorted(status for status, _ in answers) == [200, 503]
            listed = (await got(client, "GET", contract.BACKUPS_ROUTE))[1]["backups"]
            assert len(listed) == len(made.ids) + 1

    asyncio.run(run())


def test_a_reader_is_not_asked(made: Made, tmp_path: Path) -> None:
    """INSTANCE_ROLE=reader never decides what is newest: 409."""

    async def run() -> None:
        """Ask one."""
        async with agent(made, tmp_path / "storage", INSTANCE_ROLE="reader") as (_, client):
            status, answer = await asked(client, made.ids[0])
            assert (status, answer["kind"]) == (409, NotTheWriter.__name__)

    asyncio.run(run())


def test_a_standby_that_nobody_wrote_after_has_nothing_to_save(made: Made, tmp_path: Path) -> None:
    """After a rollback a save answers 200 and names the newest backup; with another writer about it is 409."""

    async def run() -> None:
        """Save after going back, then with HEAD in another's hands."""
        async with agent(made, tmp_path / "storage") as (one, client):
            assert (await got(client, "GET", contract.BACKUPS_ROUTE))[1]["saved"] is False
            _, gone_back = await asked(client, made.ids[0])
            assert (await got(client, "GET", contract.BACKUPS_ROUTE))[1]["saved"] is True
            status, saved = await got(client, "POST", contract.SNAPSHOT_ROUTE)
            assert (status, saved["committed"], saved["backup"]) == (200, False, gone_back["backup"])
            assert {target["collection"]: target["points"] for target in saved["targets"]} == {"books": 20, "drafts": 3}

            head = made.bucket / "HEAD"
            head.write_text(head.read_text().replace('"clean": true', '"clean": false'))
            assert (await got(client, "POST", contract.SNAPSHOT_ROUTE))[0] == 409
            assert (await got(client, "GET", contract.BACKUPS_ROUTE))[1]["saved"] is False
            assert one.instance.role is Role.STANDBY

    asyncio.run(run())
