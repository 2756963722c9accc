"""The drill, as the job runs it: the newest backup restored into an engine of its own, beside a running writer."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.history import head
from tests.support.instances import EMBEDDED, REAL_ENGINE, ROOT, Fleet, Instance
from tests.support.jobs import Ended, run_job
from tests.support.load import Load
from tests.support.strict_gcs import StrictGcs
from tests.support.workload import make, numbers, put_numbers

PREFIX = "some/prefix/"


def drilled(fleet: Fleet, **more: str) -> Ended:
    """Run the drill on the fleet's bucket."""
    return run_job(fleet.folder / "job", {**fleet.settings, **more}, "verify", "--deep")


def verdicts(strict: StrictGcs) -> dict[str, Any]:
    """Return what was recorded, by name."""
    kept = strict.objects.stored
    return {name: json.loads(kept[name].data) for name in kept if name.startswith(f"{PREFIX}verified/")}


def damage(strict: StrictGcs, backup: str) -> str:
    """Change one byte of the newest backup that the store's own checksum does not know of; return its pack."""
    manifest = json.loads(strict.objects.stored[f"{PREFIX}manifests/{backup}.json"].data)
    files = [
        file
        for collection in manifest["collections"].values()
        for shard in collection["shards"].values()
        for file in shard["files"].values()
        if file["size"] > sum(length for _, length in file["holes"])
    ]
    pack = strict.objects.stored[PREFIX + files[0]["pack"]]
    at = files[0]["offset"]
    pack.data = pack.data[:at] + bytes([pack.data[at] ^ 1]) + pack.data[at + 1 :]
    return str(files[0]["pack"])


@pytest.fixture
def writer(strict_fleet: Fleet) -> Instance:
    """Give a writer with a backup of ten points."""
    instance = strict_fleet.start()
    make(instance, "c")
    put_numbers(instance, "c", range(1, 11))
    instance.save()
    return instance


def test_a_drill_beside_a_running_writer_leaves_it_alone(
    strict_fleet: Fleet, strict: StrictGcs, writer: Instance
) -> None:
    """While writes go on the newest backup is restored elsewhere, compared, recorded; no write is refused for it."""
    before = head(writer.settings)
    with Load(writer, "c", first=1000) as load:
        ended = drilled(strict_fleet)
    assert ended.code == 0, ended.err
    assert ended.errors() == []
    after = head(writer.settings)

    assert (after.holder, after.epoch, after.requested_by) == (before.holder, before.epoch, None)
    assert [event["event"] for event in writer.events() if event["event"].startswith("handover.")] == []
    assert load.refused == []
    assert {each.number for each in load.acknowledged} <= numbers(writer, "c")
    ((name, verdict),) = verdicts(strict).items()
    assert (verdict["ok"], verdict["depth"]) == (True, "deep")
    assert verdict["points"] >= 10
    assert verdict["engine"]
    assert verdict["backup"] in name
    assert list((strict_fleet.folder / "job").iterdir()) == []


def test_a_damaged_pack_fails_the_drill_loudly_and_on_record(
    strict_fleet: Fleet, strict: StrictGcs, writer: Instance
) -> None:
    """Exit 4, lines of severity ERROR that name the pack, a verdict that is not ok, and a writer that serves on."""
    backup = writer.save()["backup"]
    pack = damage(strict, backup)
    ended = drilled(strict_fleet)

    assert ended.code == 4
    assert [line["event"] for line in ended.errors()] == ["verify.damaged", "job.failed"]
    assert pack in ended.errors()[0]["message"]
    assert ended.errors()[1]["exit_code"] == 4
    ((_, verdict),) = verdicts(strict).items()
    assert (verdict["ok"], verdict["backup"]) == (False, backup)
    assert writer.has("writer")
    assert list((strict_fleet.folder / "job").iterdir()) == []


def test_a_bucket_that_denies_fails_the_drill_and_records_nothing(
    strict_fleet: Fleet, strict: StrictGcs, writer: Instance
) -> None:
    """Exit 6 with a line of severity ERROR; being denied is neither damage nor "no backup"."""
    writer.terminate()
    strict.objects.denied = True
    ended = drilled(strict_fleet)

    assert ended.code == 6
    assert [line["event"] for line in ended.errors()] == ["job.failed"]
    assert verdicts(strict) == {}


def test_damage_is_told_by_who_may_not_record_it(strict_fleet: Fleet, strict: StrictGcs, writer: Instance) -> None:
    """With the right to create below verified/ missing the drill ends with 6, and the damage is in the log before."""
    damage(strict, writer.save()["backup"])
    writer.terminate()
    strict.objects.permits = lambda verb, _name: verb in ("get", "list")
    ended = drilled(strict_fleet)

    assert ended.code == 6
    assert [line["event"] for line in ended.errors()] == ["verify.damaged", "job.failed"]
    assert verdicts(strict) == {}


def test_a_drill_of_an_empty_bucket_is_no_failure_of_the_job(tmp_path: Path) -> None:
    """A stack of the first day has no backup: the job ends well with a warning, the command by hand with 3."""
    (tmp_path / "bucket").mkdir()
    settings = {"BACKUP_URL": f"file://{tmp_path}/bucket"}
    ended = run_job(tmp_path / "job", settings, "verify", "--deep")

    assert (ended.code, ended.errors()) == (0, [])
    assert [line["severity"] for line in ended.events("job.nothing_to_do")] == ["WARNING"]
    assert run_job(tmp_path / "job", settings, "verify", "--deep", job=False).code == 3


def test_a_job_needs_no_key_in_production(tmp_path: Path) -> None:
    """What serves nobody is given no key; without the mark of production the same is true of its bucket."""
    settings = {"BACKUP_URL": f"file://{tmp_path}/bucket", "RUNTIME_ENVIRONMENT": "production"}
    ended = run_job(tmp_path / "job", settings, "prune")

    assert ended.code == 2
    assert "BACKUP_URL: a directory is lost" in ended.err
    assert "QDRANT_API_KEY" not in ended.err
    assert "QDRANT_API_KEY: is missing" in run_job(tmp_path / "job", settings, "serve").err


@pytest.mark.timeout(320)  # an instance and two drills, each a start of Python and of an engine, beside other work
def test_make_drill_tells_the_story_and_keeps_its_word() -> None:
    """`make drill` shows a drill that passes and one that finds the spoilt byte, and ends with 0 only then."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "QDRANT_BIN": REAL_ENGINE or str(EMBEDDED), "COLUMNS": "200"}
    told = subprocess.run(
        [sys.executable, "-m", "local.drill"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert told.returncode == 0, told.stdout + told.stderr
    assert "ERROR verify.damaged" in told.stdout
    assert "recorded: [True, False]" in told.stdout


def test_make_drill_on_a_bucket_ends_as_the_drill_does(fleet: Fleet) -> None:
    """With BACKUP_URL set that bucket is drilled, and what is denied or missing is not called good."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "BACKUP_URL": f"file://{fleet.folder}/not-there"}
    told = subprocess.run(
        [sys.executable, "-m", "local.drill"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert told.returncode == 6
    assert "job.failed" in told.stderr
