"""What a start decides: each outcome its own status and sentence, and the bucket as it was after every one."""

import hashlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.history import head, linear_history, replace_head
from tests.support.instances import Fleet, Instance, eventually, free_ports
from tests.support.workload import make, numbers, put_numbers


def content(bucket: Path) -> dict[str, bytes]:
    """Return every object of a bucket that is a directory, HEAD included."""
    return {
        str(path.relative_to(bucket)): path.read_bytes()
        for path in sorted(bucket.rglob("*"))
        if path.is_file() and not path.relative_to(bucket).parts[0].startswith(".")
    }


@pytest.fixture(scope="module")
def two_backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bucket with a lineage of two backups: 10 points, then 20; not to be changed."""
    with Fleet(tmp_path_factory.mktemp("made")) as fleet:
        instance = fleet.start(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
        make(instance, "c")
        put_numbers(instance, "c", range(10))
        instance.save()
        put_numbers(instance, "c", range(10, 20))
        assert instance.terminate()[0] == 0
        assert len(linear_history(instance.settings)) == 2
    return fleet.bucket


@pytest.fixture
def bucket(fleet: Fleet, two_backups: Path) -> Path:
    """Give a copy of it as the fleet's bucket."""
    return Path(shutil.copytree(two_backups, fleet.bucket, dirs_exist_ok=True))


@pytest.fixture(scope="module", autouse=True)
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Give an instance whose store cannot be reached, started with the first test: its end takes a while."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with Fleet(tmp_path_factory.mktemp("cut-off"), BACKUP_URL="gs://backups/p", STORAGE_EMULATOR_HOST=url) as fleet:
        yield fleet.start(role=None)


def refused(fleet: Fleet, status: int, *said: str, **settings: str) -> Instance:
    """Start an instance that must end with a status and say why, in its log and on its last lines."""
    return ended_refusing(fleet.start(role=None, **settings), status, *said)


def ended_refusing(instance: Instance, status: int, *said: str) -> Instance:
    """Wait for an instance that must end with a status and say why, in its log and on its last lines."""
    assert instance.ended() == status, str(instance)
    failed = instance.events("start.failed")
    assert len(failed) == 1, str(instance)
    assert failed[0]["severity"] == "ERROR"
    assert failed[0]["exit_code"] == status
    assert not any(line.startswith("Traceback") for line in instance.output.splitlines()), str(instance)
    for words in said:
        assert words in failed[0]["message"]
    return instance


def newest(bucket: Path, folder: str) -> Path:
    """Return the newest object below a folder of the layout; ids sort as they were committed."""
    return max((path for path in (bucket / folder).rglob("*") if path.is_file()), key=lambda path: path.name)


def flip(path: Path) -> None:
    """Make one bit of an object wrong, in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Keep half of an object."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_data(path: Path) -> None:
    """Make one bit of a stored file wrong: elsewhere a pack holds names and padding that nothing restores."""
    bucket = next(folder for folder in path.parents if (folder / "HEAD").exists())
    manifest = json.loads(newest(bucket, "manifests").read_text())
    shards = (shard for entry in manifest["collections"].values() for shard in entry["shards"].values())
    files = (file for shard in shards for file in shard["files"].values())
    stored = next(
        file
        for file in files
        if file["pack"] == str(path.relative_to(bucket)) and file["size"] > sum(length for _, length in file["holes"])
    )
    data = bytearray(path.read_bytes())
    data[stored["offset"]] ^= 1
    path.write_bytes(data)


def test_an_empty_bucket_is_a_new_lineage(fleet: Fleet) -> None:
    """The first start says that there was nothing to restore, and makes HEAD."""
    instance = fleet.start()
    assert instance.events("restore.nothing")[0]["message"] == "No snapshot found to restore"
    assert instance.health()["restore"]["outcome"] == "new lineage"
    assert head(instance.settings).epoch == 1


def test_backups_without_head_are_never_an_empty_start(fleet: Fleet, bucket: Path) -> None:
    """Exit 4, naming repair; nothing is written."""
    (bucket / "HEAD").unlink()
    before = content(bucket)
    refused(fleet, 4, "no HEAD", "repair")
    assert content(bucket) == before


@pytest.mark.parametrize(
    ("folder", "damage"),
    [("packs", flip_data), ("packs", cut), ("packs", Path.unlink), ("manifests", flip), ("manifests", Path.unlink)],
    ids=["a bit of the pack", "half of the pack", "no pack", "a bit of the manifest", "no manifest"],
)
def test_a_damaged_newest_backup_gives_way_to_the_older_one_loudly(
    fleet: Fleet, bucket: Path, folder: str, damage: Callable[[Path], None]
) -> None:
    """An ERROR line, /health and the next manifest name what was passed over; the damaged one is left as it was.

    The journal holds what only that one had.
    """
    bad = newest(bucket, "manifests").relative_to(bucket).as_posix()
    damage(newest(bucket, folder))
    before = content(bucket)
    instance = fleet.start()
    assert numbers(instance, "c") == set(range(20))
    assert instance.health()["restore"]["damaged"] == [bad]
    assert any(entry["severity"] == "ERROR" and bad in str(entry) for entry in instance.events())
    eventually(lambda: linear_history_skips(instance, bad), 10, "the next manifest records it")
    after = content(bucket)
    assert {name: after.get(name) for name in before if name != "HEAD"} == {
        name: data for name, data in before.items() if name != "HEAD"
    }


def test_without_a_journal_a_damaged_newest_backup_takes_what_only_it_had(fleet: Fleet) -> None:
    """DURABILITY=snapshot: the older backup is what there is, loudly."""
    first = fleet.start(DURABILITY="snapshot")
    make(first, "c")
    put_numbers(first, "c", range(10))
    first.save()
    put_numbers(first, "c", range(10, 20))
    first.save()
    assert first.terminate()[0] == 0
    bad = newest(fleet.bucket, "manifests").relative_to(fleet.bucket).as_posix()
    flip_data(newest(fleet.bucket, "packs"))
    instance = fleet.start(DURABILITY="snapshot")
    assert numbers(instance, "c") == set(range(10))
    assert instance.health()["restore"]["damaged"] == [bad]


def test_without_a_journal_the_older_backup_may_be_of_an_earlier_writer(fleet: Fleet) -> None:
    """DURABILITY=snapshot: a whole term may be lost with its backups, which is an ERROR; with a journal it may not."""
    first = fleet.start(DURABILITY="snapshot")
    make(first, "c")
    put_numbers(first, "c", range(10))
    assert first.terminate()[0] == 0
    second = fleet.start(DURABILITY="snapshot")
    put_numbers(second, "c", range(10, 20))
    assert second.terminate()[0] == 0
    bad = newest(fleet.bucket, "manifests").relative_to(fleet.bucket).as_posix()
    flip_data(newest(fleet.bucket, "packs"))
    refused(fleet, 4, "no journal holds", "rollback")
    instance = fleet.start(DURABILITY="snapshot")
    assert numbers(instance, "c") == set(range(10))
    assert instance.health()["restore"]["damaged"] == [bad]
    told = instance.events("replay.unjournaled")
    assert [entry["severity"] for entry in told] == ["ERROR"] * len(told)
    assert told
    put_numbers(instance, "c", range(30, 31))
    assert instance.terminate()[0] == 0
    assert numbers(fleet.start(DURABILITY="snapshot"), "c") == {*range(10), 30}


def linear_history_skips(instance: Instance, name: str) -> bool:
    """Whether the newest manifest says that another was passed over."""
    entry = instance.events("backup.committed")
    if not entry:
        return False
    manifest = json.loads((instance.folder.parent / "bucket" / head(instance.settings).manifest).read_bytes())  # type: ignore[operator]
    return name in manifest["skipped"]


def test_a_damaged_newest_backup_is_refused_where_that_is_asked_for(fleet: Fleet, bucket: Path) -> None:
    """RESTORE_FALLBACK=refuse: exit 4, and nothing is changed."""
    flip_data(newest(bucket, "packs"))
    before = content(bucket)
    refused(fleet, 4, "RESTORE_FALLBACK", RESTORE_FALLBACK="refuse")
    assert content(bucket) == before


def test_required_refuses_an_empty_bucket(fleet: Fleet) -> None:
    """Exit 3, and the bucket stays empty."""
    refused(fleet, 3, "No snapshot found to restore", RESTORE_POLICY="required")
    assert content(fleet.bucket) == {}


def test_never_starts_empty_and_keeps_the_older_backups(fleet: Fleet, bucket: Path) -> None:
    """What a person said is done; the backups that were there are still there."""
    before = content(bucket)
    killed = fleet.start(RESTORE_POLICY="never")
    assert killed.result("GET", "/collections")["collections"] == []
    eventually(lambda: killed.events("backup.committed"), 20, "that nothing is there is saved")
    killed.kill()
    instance = fleet.start()
    assert instance.result("GET", "/collections")["collections"] == []
    make(instance, "c")
    instance.save()
    after = content(bucket)
    assert all(after[name] == data for name, data in before.items() if name != "HEAD")


def test_writes_that_only_the_journal_holds_are_data(fleet: Fleet) -> None:
    """Killed before the first backup: `required` starts with them, `never` leaves them behind."""
    fleet.settings.update(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
    first = fleet.start()
    make(first, "c")
    put_numbers(first, "c", range(5))
    first.kill()
    second = fleet.start(RESTORE_POLICY="required")
    assert numbers(second, "c") == set(range(5))
    second.kill()
    third = fleet.start(RESTORE_POLICY="never")
    assert third.result("GET", "/collections")["collections"] == []
    eventually(lambda: third.events("backup.committed"), 20, "that nothing is there is saved")
    make(third, "d")
    put_numbers(third, "d", range(3))
    third.kill()
    last = fleet.start()
    assert last.result("GET", "/collections")["collections"] == [{"name": "d"}]
    assert numbers(last, "d") == set(range(3))


def test_a_directory_that_is_not_there_ends_the_start(fleet: Fleet) -> None:
    """Exit 6, and it is not made: a mistyped path is no new lineage."""
    refused(fleet, 6, "nowhere", BACKUP_URL=f"file://{fleet.folder}/nowhere/deeper")
    assert not (fleet.folder / "nowhere").exists()


def test_a_bucket_that_is_not_there_ends_the_start(strict_fleet: Fleet) -> None:
    """Exit 6, naming the bucket and the setting to correct."""
    refused(strict_fleet, 6, "no bucket 'other-name'", "BACKUP_URL", BACKUP_URL="gs://other-name/p")


def test_a_store_that_refuses_this_account_ends_the_start(fleet: Fleet) -> None:
    """An answer of 403: exit 6, naming what to grant."""
    with Forbidding() as url:
        refused(fleet, 6, "403", "Grant", BACKUP_URL="gs://backups/p", STORAGE_EMULATOR_HOST=url)


def test_a_backup_of_a_newer_minor_version_is_refused_with_the_tag_that_fits(fleet: Fleet, bucket: Path) -> None:
    """The start ends before anything is placed, and the bucket is as it was."""
    for path in (bucket / "manifests").iterdir():
        fields = json.loads(path.read_bytes())
        path.write_text(json.dumps({**fields, "qdrant_version": "1.99.3"}, sort_keys=True, separators=(",", ":")))
    rehash_head(bucket)
    before = content(bucket)
    refused(fleet, 1, "1.99.3", "v1.99.3")
    assert content(bucket) == before


def rehash_head(bucket: Path) -> None:
    """Make HEAD name the newest manifest as it is now."""
    settings = {"BACKUP_URL": f"file://{bucket}"}
    current = head(settings)
    digest = hashlib.sha256((bucket / str(current.manifest)).read_bytes()).hexdigest()
    replace_head(settings, replace(current, manifest_sha256=digest))


def test_all_wrong_settings_are_told_at_once(fleet: Fleet) -> None:
    """Exit 2, every variable in one message, nothing contacted and nothing listening."""
    wrong = {"PORT": "many", "BACKUP_QUIET_SECONDS": "-1", "RESTORE_POLICY": "maybe", "BACKUP_URL": "s3://x"}
    instance = refused(fleet, 2, *wrong, **wrong)
    assert not instance.events("edge.listening")
    assert content(fleet.bucket) == {}


@pytest.mark.parametrize("variable", ["PORT", "AGENT_PORT", "QDRANT_HTTP_PORT", "QDRANT_GRPC_PORT"])
def test_a_port_in_use_is_one_clear_line(fleet: Fleet, bucket: Path, variable: str) -> None:
    """Exit 2, naming the port; HEAD is not claimed, and what uses the port is left alone."""
    before = content(bucket)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1" if "QDRANT" in variable else "0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(fleet, 2, f"port {port}", variable, **{variable: str(port)})
    after = content(bucket)
    assert json.loads(after["HEAD"])["epoch"] == json.loads(before["HEAD"])["epoch"]


def test_a_missing_engine_is_one_clear_line(fleet: Fleet, bucket: Path) -> None:
    """No engine: exit 2, saying what to set; nothing is claimed."""
    before = json.loads(content(bucket)["HEAD"])
    refused(fleet, 2, "Qdrant is not installed", "QDRANT_BIN", QDRANT_BIN="/nowhere/qdrant")
    assert json.loads(content(bucket)["HEAD"])["epoch"] == before["epoch"]


def test_an_engine_that_dies_at_start_claims_nothing(fleet: Fleet, bucket: Path, tmp_path: Path) -> None:
    """Exit 1 with the engine's status, and the next instance with a good engine restores everything."""
    broken = tmp_path / "broken-engine"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo qdrant 99.0.0 && exit 0\nexit 101\n')
    broken.chmod(0o755)
    before = head({"BACKUP_URL": f"file://{bucket}"})
    refused(fleet, 1, "101", QDRANT_BIN=str(broken))
    assert head({"BACKUP_URL": f"file://{bucket}"}).epoch == before.epoch
    assert numbers(fleet.start(), "c") == set(range(20))


def test_a_store_that_cannot_be_reached_ends_the_start(unreachable: Instance) -> None:
    """Nothing listens there: exit 6 within the store's deadline, as an error and not as an empty bucket."""
    ended_refusing(unreachable, 6, "no answer", "Check the network")
    assert not unreachable.events("restore.nothing")


class Forbidding:
    """A server that answers every request with 403."""

    def __enter__(self) -> str:
        import http.server
        import threading

        class Handler(http.server.BaseHTTPRequestHandler):
            """Refuses."""

            def do_GET(self) -> None:
                """Refuse."""
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
