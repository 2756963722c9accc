"""The life of an instance: every way to end, its children's deaths, and a bucket that is gone for a while."""

import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.history import head, linear_history
from tests.support.instances import Fleet, Instance, eventually, is_gone
from tests.support.load import REGISTER, Load
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked
from tests.support.workload import make, numbers, put_numbers, shown

UNSAVED = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60"}


def status_of_write(instance: Instance, number: int) -> int:
    """Send one write; return the answer's status."""
    return instance.ask("PUT", "/collections/c/points?wait=true", points(number)).status_code


def points(number: int) -> dict[str, object]:
    """Return the body of a write of one point."""
    return {"points": [{"id": number, "vector": [1, 1]}]}


def test_sigterm_during_a_restore_ends_at_once_and_takes_nothing(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """Exit 0 within the budget while a download hangs; HEAD is as it was."""
    first = strict_fleet.start(**UNSAVED)
    make(first, "c")
    assert first.terminate()[0] == 0
    before = head(first.settings)
    stuck: list[Asked] = []

    def plan(asked: Asked) -> Wire | None:
        """Leave every download without an answer."""
        if "packs" in asked.path and asked.method == "GET":
            stuck.append(asked)
            return Wire.SILENCE
        return None

    strict.plan = plan
    second = strict_fleet.start(role="restoring")
    eventually(lambda: stuck, 10, "a download is under way")
    status, seconds = second.terminate()
    assert status == 0, str(second)
    assert seconds < 8
    strict.plan = lambda _: None
    assert head(first.settings) == before


def test_sigterm_during_a_backup_still_saves_everything(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """The backup under way gives way to the last one; everything acknowledged is in it, and HEAD is clean."""
    first = strict_fleet.start(**UNSAVED, SHUTDOWN_BUDGET_SECONDS="8")
    make(first, "c")
    put_numbers(first, "c", range(10))
    stuck: list[Asked] = []

    def plan(asked: Asked) -> Wire | None:
        """Leave the first upload without an answer."""
        if not stuck and asked.method == "POST" and b"packs/" in asked.body[:1000] + str(asked.query).encode():
            stuck.append(asked)
            return Wire.SILENCE
        return None

    strict.plan = plan
    put_numbers(first, "c", range(10, 20))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(first.ask, "POST", "/api/snapshot")
        eventually(lambda: stuck, 10, "a backup is under way")
        status, seconds = first.terminate()
        assert isinstance(asking.exception(10), httpx.TransportError | None)
    assert status == 0, str(first)
    assert seconds < 8
    assert head(first.settings).clean, str(first)
    assert numbers(strict_fleet.start(), "c") == set(range(20))


def test_sigterm_while_the_store_is_silent_ends_within_the_budget(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """What could not be saved is counted and told, and the program does not wait for it to the end of time."""
    first = strict_fleet.start(DURABILITY="snapshot", **UNSAVED)
    make(first, "c")
    first.save()
    put_numbers(first, "c", range(10))
    strict.plan = lambda _: Wire.SILENCE
    status, seconds = first.terminate()
    assert status == 0, str(first)
    assert seconds < float(first.settings["SHUTDOWN_BUDGET_SECONDS"])
    assert first.events("shutdown.unsaved")[0]["unsaved"] == 1
    strict.plan = lambda _: None
    assert not head(first.settings).clean


def test_a_second_sigterm_changes_nothing(fleet: Fleet) -> None:
    """The last backup is finished all the same."""
    instance = fleet.start(**UNSAVED)
    make(instance, "c")
    put_numbers(instance, "c", range(10))
    instance.signal(signal.SIGTERM)
    instance.signal(signal.SIGTERM)
    assert instance.ended() == 0
    assert head(instance.settings).clean
    assert numbers(fleet.start(), "c") == set(range(10))


def test_an_engine_that_does_not_stop_is_killed_within_the_budget(fleet: Fleet) -> None:
    """A frozen engine hears no SIGTERM; the program saves what it can, kills it, and ends in time."""
    instance = fleet.start(EMBEDDED_ENGINE_TERM_SECONDS="60", SHUTDOWN_BUDGET_SECONDS="4", **UNSAVED)
    make(instance, "c")
    put_numbers(instance, "c", range(10))
    engine = instance.children()["engine"]
    status, seconds = instance.terminate()
    assert status == 0
    assert seconds < 4
    assert is_gone(engine)
    assert instance.events("shutdown.saved")
    frozen = fleet.start(SHUTDOWN_BUDGET_SECONDS="3", DURABILITY="snapshot", **UNSAVED)
    put_numbers(frozen, "c", range(10, 12))
    engine = frozen.children()["engine"]
    engine.suspend()
    status, seconds = frozen.terminate()
    assert status == 0
    assert seconds < 4
    assert is_gone(engine)
    assert frozen.events("shutdown.unsaved")[0]["unsaved"] == 1
    linear_history(instance.settings)


def test_haproxy_is_started_again_when_it_dies(fleet: Fleet) -> None:
    """Reads and writes come back on the same port by themselves, and nothing was lost."""
    instance = fleet.start()
    make(instance, "c")
    put_numbers(instance, "c", range(10))
    instance.children()["haproxy"].kill()
    instance.event("haproxy.exited")
    eventually(lambda: shown(instance, "c") == set(range(10)), 10, "reads are back, and nothing was lost")
    assert status_of_write(instance, 10) == 200


@pytest.mark.timeout(90)
def test_an_engine_that_dies_comes_back_with_every_acknowledged_write_but_not_for_ever(fleet: Fleet) -> None:
    """Three times in place; the fourth time the container ends with its status, and the next one takes over."""
    instance = fleet.start(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
    make(instance, "c")
    put_numbers(instance, "c", range(1, 11))
    instance.save()
    held = 10
    for death in range(3):
        with Load(instance, "c", first=held + 1) as load:
            load.wait_beyond(held + 20, 20)
            instance.children()["engine"].kill()
            instance.event("engine.exited", after=death)
            load.wait_beyond(load.last, 20)
        found = numbers(instance, "c") - {REGISTER}
        assert {each.number for each in load.acknowledged} <= found
        held = max(found)
    assert instance.has("writer")
    instance.save()
    instance.children()["engine"].kill()
    assert instance.ended() == 128 + signal.SIGKILL
    assert instance.events("child.gave_up")
    assert numbers(fleet.start(), "c") - {REGISTER} == found


@pytest.mark.parametrize(
    ("durability", "outage", "reason"),
    [
        ("journal", "refuse", "the bucket does not take the journal"),
        ("snapshot", "refuse", "the bucket cannot be asked who writes"),
        ("snapshot", "accept", ""),
    ],
)
def test_a_store_that_is_gone_for_a_while_stops_no_read(
    strict_fleet: Fleet, strict: StrictGcs, durability: str, outage: str, reason: str
) -> None:
    """Writes are refused with the reason, or accepted and counted; what is unsaved is caught up afterwards."""
    instance = strict_fleet.start(DURABILITY=durability, STORE_OUTAGE=outage, BACKUP_MAX_AGE_SECONDS="1")
    make(instance, "c")
    put_numbers(instance, "c", range(1, 11))
    instance.save()
    strict.plan = lambda _: Wire.UNAVAILABLE
    gone = time.monotonic()
    if outage == "refuse":
        eventually(lambda: status_of_write(instance, 11) == 503, 30, "writes are refused")
        answer = instance.ask("PUT", "/collections/c/points", points(12))
        assert reason in answer.json()["status"]["error"]
        assert "retry-after" in answer.headers
    else:
        eventually(lambda: time.monotonic() - gone > 1, 5, "the time-out has passed")
        assert status_of_write(instance, 11) == 200
        assert instance.health()["writes"]["unconfirmed"] >= 1
    assert numbers(instance, "c") >= set(range(1, 11))
    eventually(lambda: instance.health()["store"]["error"], 40, "/health tells that the store is gone")
    assert instance.ask("GET", "/health").status_code == 200
    strict.plan = lambda _: None
    eventually(lambda: status_of_write(instance, 13) == 200, 40, "writes are taken again")
    eventually(lambda: instance.health()["store"]["error"] is None, 40, "/health tells that the store is back")
    eventually(lambda: instance.health()["backup"]["unsaved_writes"] == 0, 40, "everything is saved")
    held = numbers(instance, "c")
    instance.kill()
    assert numbers(strict_fleet.start(), "c") == held
    linear_history(instance.settings)


def test_what_an_earlier_process_left_on_the_disk_is_set_aside(fleet: Fleet, tmp_path: Path) -> None:
    """It is neither served nor lost: the backup is placed, the old files lie beside it."""
    first = fleet.start()
    make(first, "c")
    put_numbers(first, "c", range(5))
    first.save()
    storage = tmp_path / "kept" / "storage"
    (storage / "collections" / "ghost").mkdir(parents=True)
    (storage / "collections" / "ghost" / "config.json").write_text("{}")
    first.kill()
    second = fleet.start(QDRANT_STORAGE_DIR=str(storage))
    assert second.events("boot.set_aside")
    assert [each["name"] for each in second.result("GET", "/collections")["collections"]] == ["c"]
    assert (storage.with_name("storage.before-restore") / "collections" / "ghost" / "config.json").exists()
    assert stat.S_ISDIR(storage.stat().st_mode)
