"""The commands, as a person or a job runs them: documents, files and exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.instances import Fleet, eventually, free_ports
from tests.support.workload import MIXED, holdings, make, put_numbers, write_mixed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Give a bucket with two backups and everything the newest holds; not to be changed."""
    with Fleet(tmp_path_factory.mktemp("made")) as fleet:
        instance = fleet.start(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
        write_mixed(instance)
        instance.save()
        make(instance, "c")
        put_numbers(instance, "c", range(10))
        held = holdings(instance)
        assert instance.terminate()[0] == 0
    return fleet.bucket, held


@pytest.fixture
def bucket(fleet: Fleet, made: tuple[Path, dict[str, Any]]) -> Path:
    """Give a copy of it as the fleet's bucket."""
    return Path(shutil.copytree(made[0], fleet.bucket, dirs_exist_ok=True))


def test_list_and_show_tell_what_there_is(fleet: Fleet, bucket: Path) -> None:
    """One JSON document each, newest first; text for people; an unknown id is exit 3."""
    listed = fleet.command("list", "--json")
    backups = json.loads(listed.stdout)["backups"]
    assert listed.returncode == 0
    assert [each["id"] for each in backups] == sorted((each["id"] for each in backups), reverse=True)
    assert len(backups) == len(list((bucket / "manifests").iterdir()))
    assert [each["newest"] for each in backups] == [True, *(False for _ in backups[1:])]
    assert backups[0]["points"] == 88
    shown = json.loads(fleet.command("show", backups[0]["id"], "--json").stdout)
    assert shown["collections"]["c"] == {"points": 10, "shards": 1}
    assert shown["collections"][MIXED]["shards"] == 2
    assert shown["parent"] == backups[1]["id"]
    assert backups[1]["id"] in fleet.command("list").stdout
    unknown = fleet.command("show", "00000009-0000000009", "--json")
    assert unknown.returncode == 3
    assert json.loads(unknown.stdout)["exit_code"] == 3


def test_a_restored_directory_is_one_that_an_engine_starts_on(
    fleet: Fleet, bucket: Path, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """`restore DIR` places the newest backup; an engine without any of this holds every point of it then."""
    target = tmp_path / "restored"
    done = fleet.command("restore", str(target), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["points"] == 88
    assert holdings(fleet.engine(target)) == made[1]
    again = fleet.command("restore", str(target))
    assert again.returncode == 2
    assert "not empty" in again.stderr
    del bucket


def test_restore_takes_an_older_backup_by_its_id(fleet: Fleet, bucket: Path, tmp_path: Path) -> None:
    """`restore DIR --id` places that one, whatever is newer."""
    older = json.loads(fleet.command("list", "--json").stdout)["backups"][1]["id"]
    done = json.loads(fleet.command("restore", str(tmp_path / "older"), "--id", older, "--json").stdout)
    assert done["id"] == older
    assert done["collections"] == [MIXED]
    del bucket


def test_restore_of_a_damaged_backup_is_refused_or_says_which_one_it_took(
    fleet: Fleet, bucket: Path, tmp_path: Path
) -> None:
    """Exit 4 when it was asked for by id or fallback is refused; else the older one, the damaged one named."""
    newest = max(path for path in (bucket / "packs").rglob("*.tar"))
    newest.write_bytes(newest.read_bytes()[:1000])
    backup = max(path.stem for path in (bucket / "manifests").iterdir())
    by_id = fleet.command("restore", str(tmp_path / "a"), "--id", backup, "--json")
    assert by_id.returncode == 4
    assert json.loads(by_id.stdout)["exit_code"] == 4
    assert fleet.command("restore", str(tmp_path / "b"), RESTORE_FALLBACK="refuse").returncode == 4
    older = fleet.command("restore", str(tmp_path / "c"), "--json")
    assert older.returncode == 0, older.stderr
    assert backup in json.loads(older.stdout)["damaged"][0]


def test_commands_on_nothing_say_so_by_their_exit_code(fleet: Fleet, tmp_path: Path) -> None:
    """An empty bucket is 3, a wrong setting 2, a bucket that is not there 6; each with a sentence, nothing made."""
    for arguments in (("list",), ("show",), ("restore", str(tmp_path / "restored"))):
        ended = fleet.command(*arguments)
        assert (ended.returncode, ended.stderr[:7]) == (3, "Error: "), ended
        assert fleet.command(*arguments, BACKUP_URL="nonsense").returncode == 2
        assert fleet.command(*arguments, BACKUP_URL=f"file://{tmp_path}/no/where").returncode == 6
    assert list(fleet.bucket.iterdir()) == []


def test_backup_saves_now_and_tells_when_there_is_nothing_to(fleet: Fleet) -> None:
    """Exit 0 with the new backup's id, exit 3 with the newest one's, exit 1 when no instance is there."""
    instance = fleet.start(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
    make(instance, "c")
    put_numbers(instance, "c", range(3))
    agent = instance.settings["AGENT_PORT"]
    saved = fleet.command("backup", "--json", AGENT_PORT=agent)
    assert saved.returncode == 0, saved.stderr
    document = json.loads(saved.stdout)
    assert document["committed"] is True
    assert document["targets"] == [{"collection": "c", "status": "completed", "points": 3}]
    nothing = fleet.command("backup", "--json", AGENT_PORT=agent)
    assert nothing.returncode == 3
    assert json.loads(nothing.stdout)["backup"] == document["backup"]
    alone = fleet.command("backup", AGENT_PORT=str(free_ports(1)[0]))
    assert alone.returncode == 1
    assert "no instance answers" in alone.stderr


def test_backup_on_a_standby_is_told_apart(fleet: Fleet) -> None:
    """An instance that is not the writer saves nothing: exit 5."""
    first = fleet.start(HANDOVER_TIMEOUT_SECONDS="30")
    make(first, "c")
    fleet.start(HANDOVER_TIMEOUT_SECONDS="30")
    first.wait_for("standby")
    ended = fleet.command("backup", AGENT_PORT=first.settings["AGENT_PORT"])
    assert ended.returncode == 5, ended
    assert eventually(lambda: "not the writer" in ended.stderr, 0, "it says why")
