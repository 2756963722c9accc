import asyncio
import json
from pathlib import Path

import pytest

from runtime.errors import NothingThere
from runtime.instance import Role
from runtime.repository import names
from runtime.repository.directory import DirectoryStore
from runtime.repository.repository import Repository
from runtime.repository.store import ObjectInfo
from runtime.rollback import RolledBack, rollback
from runtime.settings import Settings
from tests.commands.conftest import Command, Made
from tests.support.lineages import Served, environment, served


def head(made: Made) -> dict[str, object]:
    """Return what HEAD says."""
    found: dict[str, object] = json.loads((made.bucket / "HEAD").read_text())
    return found


def test_an_older_backup_becomes_the_newest(made: Made, command: Command) -> None:
    """A new commit with its content, whose parent is what was newest; nothing is deleted."""
    ran = command("rollback", made.ids[0], "--json")

    assert ran.code == 0, ran.err
    newest = command("show", "--json").json
    assert newest["id"] == ran.json["backup"] == "00000002-0000000004"
    assert (newest["parent"], newest["reason"]) == (made.ids[2], "rollback")
    assert newest["collections"] == command("show", made.ids[0], "--json").json["collections"]
    assert newest["aliases"] == {}
    assert len(command("list", "--json").json["backups"]) == 4
    assert head(made)["clean"] is True
    assert command("verify", "--deep").code == 0


def test_a_rollback_can_be_rolled_back(made: Made, command: Command) -> None:
    """What was newest before is a backup like any other."""
    assert command("rollback", made.ids[0]).code == 0
    assert command("rollback", made.ids[2]).code == 0

    assert command("show", "--json").json["aliases"] == {"library": "books"}


def test_a_dry_run_shows_the_difference_and_changes_nothing(made: Made, command: Command) -> None:
    """Points of each collection now and then."""
    before = head(made)
    ran = command("rollback", made.ids[0], "--dry-run", "--json")

    assert ran.code == 0
    assert ran.json["points"] == {
        "books": {"now": 30, "then": 20},
        "drafts": {"now": None, "then": 3},
        "films": {"now": 5, "then": None},
    }
    assert ran.json["backup"] is None
    assert head(made) == before
    assert "Nothing was changed" in command("rollback", made.ids[0], "--dry-run").out


def test_what_is_no_backup_is_refused(made: Made, command: Command) -> None:
    """Unknown, never committed, or the newest itself: exit 3."""
    never = made.bucket / "manifests" / "00000000-0000000002.json"
    never.write_bytes((made.bucket / "manifests" / f"{made.ids[1]}.json").read_bytes())

    for identifier in ("00000009-0000000001", never.stem, made.ids[2], "../HEAD"):
        assert command("rollback", identifier).code == 3, identifier
    assert head(made)["epoch"] == 1


def test_a_damaged_backup_is_refused(made: Made, command: Command) -> None:
    """Exit 4, before anybody is asked to hand over."""
    manifest = json.loads((made.bucket / "manifests" / f"{made.ids[0]}.json").read_text())
    (made.bucket / min(manifest["packs"])).unlink()
    ran = command("rollback", made.ids[0])

    assert ran.code == 4
    assert min(manifest["packs"]) in ran.err
    assert head(made)["epoch"] == 1


def test_a_writer_that_died_is_waited_for_once(made: Made, command: Command) -> None:
    """Without a clean end and without an answer it is taken for dead after HANDOVER_TIMEOUT_SECONDS."""
    state = head(made) | {"clean": False}
    (made.bucket / "HEAD").write_text(json.dumps(state))

    assert command("rollback", made.ids[0]).code == 0
    assert (head(made)["seq"], head(made)["clean"]) == (4, True)


def test_a_backup_that_prune_took_in_between_is_not_committed(made: Made, tmp_path: Path) -> None:
    """It is looked at again after the claim; the lineage is let go as it was found."""

    class Pruning(DirectoryStore):
        """Loses the backup at the moment of the claim."""

        async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
            """Swap, and lose it."""
            (made.bucket / "manifests" / f"{made.ids[0]}.json").unlink(missing_ok=True)
            return await super().swap(name, data, generation)

    async def run() -> None:
        """Try it."""
        settings = Settings.from_env(environment(f"file://{made.bucket}", tmp_path / "storage"))
        store = Pruning(made.bucket)
        try:
            await rollback(Repository(store), made.ids[0], settings, dry_run=False)
        finally:
            await store.close()

    with pytest.raises(Exception, match="holds no backup"):
        asyncio.run(run())
    assert (head(made)["epoch"], head(made)["seq"], head(made)["clean"]) == (2, 3, True)


async def rolled_back_under(one: Served, made: Made, which: int) -> RolledBack:
    """Roll back while an instance serves."""
    store = DirectoryStore(made.bucket)
    try:
        return await rollback(Repository(store), made.ids[which], one.settings, dry_run=False)
    finally:
        await store.close()


def test_a_running_writer_saves_hands_over_and_goes_on_from_the_older_backup(made: Made, tmp_path: Path) -> None:
    """Nothing it acknowledged is lost: it is in the backup before. Its next write lands on the older state."""

    async def run() -> None:
        """Write, roll back, write."""
        async with served(environment(f"file://{made.bucket}", tmp_path / "storage")) as one:
            point = {"points": [{"id": 77, "vector": [1.0, 2.0, 3.0, 4.0]}]}
            await one.write("PUT", "/collections/books/points?wait=true", point)
            done = await rolled_back_under(one, made, 0)
            assert one.instance.role is Role.STANDBY
            assert done.committed == "00000003-0000000005"
            assert done.newest_before == "00000002-0000000004"

            await one.write("PUT", "/collections/drafts/points?wait=true", point)
            admin = one.instance.replica.engine.admin
            assert await admin.collections() == ["books", "drafts"]
            assert (await admin.count("books"), await admin.count("drafts")) == (20, 4)
            saved = await one.repository.manifest("manifests/00000002-0000000004.json")
            assert saved.collections["books"].points == 31

    asyncio.run(run())


def test_what_was_written_since_the_newest_backup_can_be_undone(made: Made, tmp_path: Path) -> None:
    """A running writer saves it first, as a backup of its own; without such writes there is nothing to do."""

    async def run() -> None:
        """Roll back to the newest backup, with and without a write since."""
        async with served(environment(f"file://{made.bucket}", tmp_path / "storage")) as one:
            with pytest.raises(NothingThere, match="nothing was written since"):
                await rolled_back_under(one, made, 2)
            point = {"points": [{"id": 77, "vector": [1.0, 2.0, 3.0, 4.0]}]}
            await one.write("PUT", "/collections/books/points?wait=true", point)
            done = await rolled_back_under(one, made, 2)
            assert done.now is not None
            assert done.now.collections["books"].points == 31
            newest = await one.repository.manifest(names.manifest(done.committed or ""))
            before = await one.repository.manifest(names.manifest(done.newest_before))
        assert (newest.collections["books"].points, before.collections["books"].points) == (30, 31)

    asyncio.run(run())


def test_a_damaged_newest_backup_can_be_gone_back_from(made: Made, command: Command) -> None:
    """That is when somebody wants to."""
    (made.bucket / "manifests" / f"{made.ids[2]}.json").write_text("{")
    ran = command("rollback", made.ids[1], "--json")

    assert ran.code == 0, ran.err
    assert ran.json["points"]["books"] == {"now": None, "then": 30}
    assert command("verify", "--deep").code == 0
