import asyncio
import json
from pathlib import Path

import pytest

from runtime.errors import RuntimeFailure
from runtime.repair import carry_out, plan
from runtime.repository import names
from runtime.repository.directory import DirectoryStore
from runtime.repository.repository import Repository
from tests.commands.conftest import Command, Made
from tests.support.lineages import environment, served


def head(made: Made) -> dict[str, object]:
    """Return what HEAD says."""
    found: dict[str, object] = json.loads((made.bucket / "HEAD").read_text())
    return found


def harm(made: Made, how: str) -> None:
    """Lose HEAD, or break it."""
    path = made.bucket / "HEAD"
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:40])
    else:
        path.write_text(json.dumps(head(made) | {"epoch": 0}))


@pytest.mark.parametrize("how", ["missing", "cut", "contradictory"])
def test_head_is_rebuilt_from_the_newest_manifest(made: Made, command: Command, how: str) -> None:
    """The same lineage and backup, a new epoch, let go."""
    before = head(made)
    harm(made, how)
    ran = command("repair", "--yes", "--json")

    assert ran.code == 0, ran.err
    after = head(made)
    assert {key: after[key] for key in ("lineage", "seq", "manifest", "manifest_sha256")} == {
        key: before[key] for key in ("lineage", "seq", "manifest", "manifest_sha256")
    }
    assert (after["epoch"], after["clean"], after["requested_by"]) == (2, True, None)
    assert command("verify", "--deep").code == 0


def test_it_shows_what_it_would_do_and_does_nothing(made: Made, command: Command) -> None:
    """Without --yes."""
    harm(made, "missing")
    ran = command("repair")

    assert ran.code == 0
    assert f"HEAD would name manifests/{made.ids[2]}.json, epoch 2" in ran.out
    assert "--yes" in ran.out
    assert not (made.bucket / "HEAD").exists()


def test_a_head_that_is_fine_is_left_alone(made: Made, command: Command) -> None:
    """Exit 3, whatever was asked; also when the newest backup is damaged, which a start deals with."""
    before = head(made)
    assert command("repair", "--yes").code == 3
    (made.bucket / "manifests" / f"{made.ids[2]}.json").unlink()
    assert command("repair", "--yes").code == 3
    assert head(made) == before


def test_a_damaged_backup_is_passed_over_and_named(made: Made, command: Command) -> None:
    """The next older intact one is taken; the next backup then has the damaged one's number and a higher epoch."""
    harm(made, "missing")
    (made.bucket / "manifests" / f"{made.ids[2]}.json").write_text("{")
    ran = command("repair", "--yes", "--json")

    assert [names.manifest_id(one["manifest"]) for one in ran.json["looked_at"]] == [made.ids[2], made.ids[1]]
    assert "damaged" in ran.json["looked_at"][0]["finding"]
    assert head(made)["manifest"] == f"manifests/{made.ids[1]}.json"


def test_of_two_manifests_with_one_number_the_later_epochs_is_taken(made: Made, command: Command) -> None:
    """The other was left behind by a writer that had lost the lineage."""
    harm(made, "missing")
    manifest = json.loads((made.bucket / "manifests" / f"{made.ids[2]}.json").read_text())
    later = made.bucket / names.manifest(names.backup_id(4, 3))
    later.write_text(json.dumps(manifest | {"epoch": 4}))
    assert command("repair", "--yes").code == 0

    assert (head(made)["manifest"], head(made)["epoch"]) == (names.manifest(later.stem), 5)


def test_the_new_epoch_is_above_every_epoch_that_left_a_trace(made: Made, command: Command) -> None:
    """A writer that had only sent packs counts too."""
    harm(made, "missing")
    left = made.bucket / "packs" / "2026" / "01" / "01" / "00000007-0000000004-0000.tar"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")

    assert command("repair", "--json").json["head"]["epoch"] == 8


def test_nothing_to_rebuild_from_is_not_damage(made: Made, command: Command) -> None:
    """No HEAD and no manifest: exit 3. Manifests and none intact: exit 4."""
    (made.bucket.parent / "empty").mkdir()
    assert command("repair", url=f"file://{made.bucket.parent}/empty").code == 3

    harm(made, "missing")
    for path in (made.bucket / "manifests").iterdir():
        path.write_text("{}")
    assert command("repair", "--yes").code == 4


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_head_that_appears_meanwhile_wins(made: Made, how: str) -> None:
    """What is written replaces exactly what was looked at."""
    before = head(made)
    harm(made, how)

    async def run() -> None:
        """Plan, have somebody else write HEAD, and carry it out."""
        store = DirectoryStore(made.bucket)
        try:
            found = await plan(Repository(store))
            (made.bucket / "HEAD").write_text(json.dumps(before))
            await carry_out(Repository(store), found)
        finally:
            await store.close()

    with pytest.raises(RuntimeFailure, match="changed meanwhile"):
        asyncio.run(run())
    assert head(made) == before


def test_an_instance_starts_from_what_was_repaired(made: Made, command: Command, tmp_path: Path) -> None:
    """Without a wait: HEAD says that its writer let go."""
    harm(made, "missing")
    assert command("repair", "--yes").code == 0

    async def run() -> None:
        """Start one."""
        async with served(environment(f"file://{made.bucket}", tmp_path / "storage")) as one:
            assert one.instance.lineage.epoch == 3
            assert await one.instance.replica.engine.admin.count("books") == 30

    asyncio.run(run())
