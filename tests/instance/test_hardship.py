"""What the surroundings do to an instance: clocks that jump, a disk that is full, a bucket that says nothing."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.history import head, linear_history
from tests.support.instances import REAL_ENGINE, Fleet, Instance, eventually
from tests.support.load import Load
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked
from tests.support.workload import make, numbers, of, put, put_numbers, shown

UNSAVED = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60"}
# For a machine that does other things too.
PATIENT = {"HANDOVER_TIMEOUT_SECONDS": "10"}
DAY = 86_400
FAKE_CLOCK = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def status_of_write(instance: Instance, number: int) -> int:
    """Send one write; return the answer's status."""
    return instance.ask("PUT", of("c", "points"), {"points": [{"id": number, "vector": [1, 1]}]}).status_code


class WallClock:
    """The wall clock of whatever is started with it; its monotonic clock is the machine's.

    A real engine keeps the machine's clock: its allocator asks for the time before libfaketime is ready to tell it,
    and neither goes on from there. The embedded engine's jumps with the rest.
    """

    def __init__(self, file: Path) -> None:
        if FAKE_CLOCK is None:
            pytest.skip("libfaketime is not installed (apt-get install libfaketime)")
        self._file = file
        self.settings = {
            "LD_PRELOAD": str(FAKE_CLOCK),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds; without, every look at the clock reads the file
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        if REAL_ENGINE is not None:
            engine = file.with_name("qdrant")
            engine.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec "{REAL_ENGINE}" "$@"\n')
            engine.chmod(0o755)
            self.settings["QDRANT_BIN"] = str(engine)
        self.jump(0)

    def jump(self, days: int) -> None:
        """Be so many days off from now on."""
        whole = self._file.with_suffix(".new")
        whole.write_text(f"{days:+d}d")
        whole.replace(self._file)


def days_off(instance: Instance) -> int:
    """Return how many days what it takes for the time is away from now."""
    date = httpx.get(f"{instance.agent}/health", timeout=10).headers["date"]
    return round((parsedate_to_datetime(date).timestamp() - time.time()) / DAY)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("days", [1, -1] if "SOAK_CYCLES" in os.environ else [1])
def test_a_wall_clock_that_jumps_by_a_day_changes_nothing(fleet: Fleet, tmp_path: Path, days: int) -> None:
    """There and back, serving, between backups, over a hand-over and a restart: nothing is ordered or timed out by it.

    `make soak` jumps the other way round, too.
    """
    clock = WallClock(tmp_path / "clock")
    first = fleet.start(role=None, **PATIENT, **clock.settings).wait_for("writer", within=90)
    make(first, "c")
    put_numbers(first, "c", range(10))
    first.save()
    clock.jump(days)
    eventually(lambda: days_off(first) == days, 10, "the jump reached the process")
    committed = len(first.events("backup.committed"))
    put_numbers(first, "c", range(10, 20))
    first.event("backup.committed", after=committed, within=10)
    second = fleet.start(role=None, **PATIENT, **clock.settings).wait_for("writer", within=90)
    assert second.health()["restore"]["forced"] is False, "the writer was not taken for dead"
    assert days_off(second) == days
    clock.jump(-days)
    eventually(lambda: days_off(second) == -days, 10, "the jump back reached the process")
    put_numbers(second, "c", range(20, 30))
    eventually(lambda: second.health()["backup"]["unsaved_writes"] == 0, 10, "saved as soon as ever")
    assert second.health()["status"] == "ok"
    second.kill()
    third = fleet.start()
    assert numbers(third, "c") == set(range(30))
    assert not third.events("restore.damaged")
    linear_history(third.settings)


def inside_a_small_disk(folder: Path, megabytes: int) -> tuple[str, ...]:
    """Return what starts an instance with a disk in memory of that size at a folder, for it alone; or skip."""
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a mount of their own (unshare --user --mount)")
    folder.mkdir()
    mount = f'mount -t tmpfs -o size={megabytes}m small "{folder}" && exec "$@"'
    return (*namespace, "sh", "-c", mount, "sh")


def test_a_full_disk_loses_nothing_that_a_backup_holds_and_tells_what_it_loses(fleet: Fleet, tmp_path: Path) -> None:
    """A write that finds no room fails or kills the engine; reads come back or the container ends, and says why."""
    disk = tmp_path / "small"
    inside = inside_a_small_disk(disk, 128)
    one = fleet.start(inside=inside, QDRANT_STORAGE_DIR=str(disk / "storage"), **PATIENT)
    make(one, "kept")
    put_numbers(one, "kept", range(10))
    make(one, "filler")
    one.save()
    acknowledged = set()
    for number in range(400):
        # Of chance: the engine compresses.
        ballast = random.Random(number).randbytes(500_000).hex()
        point = {"id": number, "vector": [1, 1], "payload": {"ballast": ballast}}
        answer = one.ask("PUT", of("filler", "points?wait=true"), {"points": [point]})
        if answer.status_code != 200:
            break
        acknowledged.add(number)
    assert answer.status_code >= 500, answer.text
    eventually(lambda: one.process.poll() is not None or shown(one, "kept") == set(range(10)), 60, "reads, or the end")
    status = one.process.poll() if one.process.poll() is not None else one.terminate()[0]
    second = fleet.start()
    assert numbers(second, "kept") == set(range(10))
    lost = acknowledged - numbers(second, "filler")
    told = one.events("shutdown.unsaved")
    assert len(lost) <= (told[0]["unsaved"] if told else 0), str(one)
    assert status == 0 or one.events("serve.failed") or one.events("child.gave_up"), str(one)


@pytest.mark.timeout(150)
def test_a_bucket_that_says_nothing_for_a_while_stops_no_read(fleet: Fleet, emulator: str) -> None:
    """Not even a refusal comes: reads pass, a write is refused in bounded time, memory stays, all is caught up."""
    store = next(child for child in psutil.Process().children(recursive=True) if "fake-gcs" in child.name())
    fleet.settings.update(BACKUP_URL="gs://backups/p", STORAGE_EMULATOR_HOST=emulator)
    one = fleet.start()
    make(one, "c")
    put_numbers(one, "c", range(10))
    eventually(lambda: one.health()["backup"]["unsaved_writes"] == 0, 20, "everything is saved")
    memory = psutil.Process(one.process.pid).memory_info
    before = memory().rss
    store.suspend()
    try:
        gone = time.monotonic()
        refused = 0
        facts = one.health()
        asked = slowest_read = slowest_refusal = 0.0
        while refused < 2 or facts["status"] != "degraded" or not facts["store"]["error"]:
            assert time.monotonic() - gone < 60, facts
            asked = time.monotonic()
            assert numbers(one, "c") >= set(range(10))
            slowest_read = max(slowest_read, time.monotonic() - asked)
            asked = time.monotonic()
            status = status_of_write(one, 10)
            if time.monotonic() - gone > 2:
                assert status == 503
                refused += 1
                slowest_refusal = max(slowest_refusal, time.monotonic() - asked)
            facts = one.health()
    finally:
        store.resume()
    assert slowest_read < 5
    assert slowest_refusal < 15
    assert memory().rss - before < 30e6
    eventually(
        lambda: one.ask("PUT", of("c", "points"), {"points": [{"id": 11, "vector": [1, 1]}]}).status_code == 200,
        40,
        "x",
    )
    eventually(lambda: one.health()["status"] == "ok", 40, "the bucket is back")
    eventually(lambda: one.health()["backup"]["unsaved_writes"] == 0, 40, "everything is saved")
    held = numbers(one, "c")
    one.kill()
    assert numbers(fleet.start(), "c") == held


def test_a_bucket_that_is_stopped_and_started_again_loses_nothing(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """Connections are refused: reads go on, writes are told why, and go on afterwards; a kill meanwhile loses none."""
    one = strict_fleet.start(**UNSAVED)
    make(one, "c")
    with Load(one, "c") as load:
        load.wait_beyond(20, 20)
        with strict.stopped():
            refused = len(load.refused)
            eventually(lambda: load.refused[refused:], 20, "a write is refused")
            at_most = load.last + 1
            assert numbers(one, "c") >= set(range(1, load.last + 1))
            eventually(lambda: one.health()["store"]["error"], 40, "/health tells that the bucket is gone")
            assert one.ask("GET", "/health").status_code == 200
            assert load.last <= at_most, "nothing is acknowledged into nowhere"
        load.wait_beyond(load.last + 20, 40)
        eventually(lambda: one.health()["store"]["error"] is None, 40, "/health tells that it is back")
        with strict.stopped():
            refused = len(load.refused)
            eventually(lambda: load.refused[refused:], 20, "a write is refused")
            one.kill()
    assert {status for status, _ in load.refused} == {503}
    assert any("the bucket does not take the journal" in text for _, text in load.refused)
    second = strict_fleet.start()
    assert {each.number for each in load.acknowledged} <= numbers(second, "c")
    linear_history(second.settings)


def test_a_second_sigterm_during_the_last_backup_changes_nothing(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """It comes while the backup's upload waits for an answer; that is finished and HEAD is let go all the same."""
    one = strict_fleet.start(**UNSAVED)
    make(one, "c")
    put_numbers(one, "c", range(10))
    under_way, go_on = threading.Event(), threading.Event()

    def plan(asked: Asked) -> Wire | None:
        """Keep everybody waiting at the first upload."""
        if asked.method == "POST" and not under_way.is_set():
            under_way.set()
            go_on.wait(10)
        return None

    strict.plan = plan
    one.signal(signal.SIGTERM)
    assert under_way.wait(10), "the last backup is under way"
    one.signal(signal.SIGTERM)
    one.signal(signal.SIGINT)
    go_on.set()
    assert one.ended() == 0, str(one)
    assert len(one.events("shutdown.saved")) == 1
    assert head(one.settings).clean
    assert numbers(strict_fleet.start(), "c") == set(range(10))


@pytest.mark.timeout(180)
def test_sigterm_while_an_index_is_built_saves_and_ends_in_time(fleet: Fleet) -> None:
    """Qdrant goes on for a minute or more with its index; nobody waits for it, and the next has every point."""
    if REAL_ENGINE is None:
        pytest.skip("the embedded engine builds no index by itself: set QDRANT_BIN")
    one = fleet.start(**UNSAVED)
    schema = {
        "vectors": {"size": 256, "distance": "Cosine"},
        "hnsw_config": {"m": 64, "ef_construct": 2000},
        "optimizers_config": {"indexing_threshold": 1000},
    }
    one.result("PUT", of("wide"), schema)
    for start in range(0, 20_000, 500):
        points = [
            {"id": n, "vector": [((n * 31 + i * 17) % 997) / 997 for i in range(256)]}
            for n in range(start, start + 500)
        ]
        put(one, "wide", points)
    eventually(lambda: one.result("GET", of("wide"))["status"] == "yellow", 30, "the index is being built")
    status, seconds = one.terminate()
    assert status == 0, str(one)
    assert seconds < 8
    assert one.events("shutdown.saved")
    second = fleet.start()
    assert second.result("POST", of("wide", "points/count"), {"exact": True})["count"] == 20_000
