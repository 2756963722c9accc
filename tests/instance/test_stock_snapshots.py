import stat
import tarfile
from pathlib import Path

import httpx

from runtime.repository import names
from tests.support.instances import REAL_ENGINE, Fleet
from tests.support.workload import make, put_numbers

# Too long for a file that is named after it: Qdrant's own, or ours. Made behind the gate, which refuses such names.
LONG = "n" * (206 if REAL_ENGINE else 240)
ON = {"QDRANT_SNAPSHOT_ON_START": "true"}


def test_each_collection_is_a_file_before_the_first_write(fleet: Fleet, tmp_path: Path) -> None:
    """At start every restored collection becomes a whole stock snapshot, written before writes are let in."""
    first = fleet.start()
    for collection in ("one", "two"):
        make(first, collection)
        put_numbers(first, collection, range(10))
    first.terminate()
    folder = tmp_path / "made" / "snapshots"

    second = fleet.start(QDRANT_SNAPSHOT_DIR=str(folder), **ON)

    files = sorted(folder.iterdir())
    assert [file.name.partition("-")[2] for file in files] == ["one.snap", "two.snap"]
    for file in files:
        with tarfile.open(file) as snapshot:
            assert "config.json" in {Path(name).name for name in snapshot.getnames()}
    order = [line["event"] for line in second.events() if line["event"] in {"snapshot.written", "writer.opened"}]
    assert order == ["snapshot.written", "snapshot.written", "writer.opened"]


def test_a_folder_that_cannot_be_written_fails_before_the_engine(fleet: Fleet, tmp_path: Path) -> None:
    """What is no folder, or none that can be made, ends the start with status 2, and Qdrant was not started."""
    (tmp_path / "file").write_text("in the way")
    instance = fleet.start(role=None, QDRANT_SNAPSHOT_DIR=str(tmp_path / "file" / "snapshots"), **ON)

    assert instance.ended() == 2
    assert "QDRANT_SNAPSHOT_DIR" in instance.event("start.failed")["message"]
    assert not instance.storage.exists()


def test_a_snapshot_that_fails_is_logged_and_the_start_goes_on(fleet: Fleet, tmp_path: Path) -> None:
    """A collection whose file cannot be written is named in the log; nothing partial stays; the instance serves."""
    first = fleet.start()
    schema = {"vectors": {"size": 2, "distance": "Dot"}}
    engine = f"http://127.0.0.1:{first.settings['QDRANT_HTTP_PORT']}"
    assert httpx.put(f"{engine}/collections/{LONG}", json=schema, timeout=10).status_code == 200
    make(first, "good")
    first.terminate()
    folder = tmp_path / "snapshots"

    second = fleet.start(QDRANT_SNAPSHOT_DIR=str(folder), **ON)

    assert [line["collection"] for line in second.events("snapshot.failed")] == [LONG]
    assert [file.name.partition("-")[2] for file in folder.iterdir()] == ["good.snap"]
    assert second.health()["role"] == "writer"


def test_the_api_writes_them_too_and_says_what_each_came_to(fleet: Fleet, tmp_path: Path) -> None:
    """POST /api/snapshot with files: a backup is committed, and each collection is completed, failed or skipped."""
    folder = tmp_path / "snapshots"
    rarely = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60"}
    instance = fleet.start(QDRANT_SNAPSHOT_DIR=str(folder), QDRANT_COLLECTION_NAME="kept", **rarely)
    for collection in ("kept", "other"):
        make(instance, collection)
    put_numbers(instance, "kept", range(5))

    answer = instance.ask("POST", "/api/snapshot?files=true").json()

    found = {target["collection"]: target for target in answer["targets"]}
    assert answer["backup"] == names.manifest_id(instance.health()["backup"]["newest"])
    assert found["kept"]["status"] == "completed"
    assert found["kept"]["bytes"] == Path(found["kept"]["file"]).stat().st_size > 0
    assert found["kept"]["seconds"] > 0
    assert found["other"]["status"] == "skipped"
    assert [line["reason"] for line in instance.events("snapshot.written")] == ["api"]
    assert not stat.S_ISDIR((folder / found["kept"]["file"]).stat().st_mode)


def test_without_being_asked_no_file_is_written(fleet: Fleet, tmp_path: Path) -> None:
    """A plain POST /api/snapshot, as the schedule sends it, leaves no file behind."""
    folder = tmp_path / "snapshots"
    # So that it is this request that saves, and not the instance by itself before it.
    instance = fleet.start(QDRANT_SNAPSHOT_DIR=str(folder), BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
    make(instance, "books")

    answer = instance.ask("POST", "/api/snapshot").json()

    assert [target["status"] for target in answer["targets"]] == ["completed"]
    assert not folder.exists()
