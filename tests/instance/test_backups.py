"""What a backup holds and when it is taken: by the clock, by what changed, and whatever happened to a collection."""

import itertools
import os
import time
from typing import Any

import pytest

from tests.support.history import linear_history
from tests.support.instances import REAL_ENGINE, Fleet, Instance, eventually
from tests.support.load import Load
from tests.support.workload import holdings, make, numbers, of, put, put_numbers

NEVER_BY_ITSELF = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60"}
COLLECTIONS = int(os.environ.get("MANY_COLLECTIONS", "24"))
PATIENT = {"HANDOVER_TIMEOUT_SECONDS": "30"}


def manifests(fleet: Fleet) -> set[str]:
    """Return the names of the manifests that are in the bucket."""
    return {path.name for path in (fleet.bucket / "manifests").glob("*.json")}


def cold_start(fleet: Fleet, instance: Instance, **settings: str) -> Instance:
    """End an instance cleanly and start another on an empty disk."""
    assert instance.terminate()[0] == 0, str(instance)
    return fleet.start(**settings)


def rename(instance: Instance, *actions: tuple[str, str, str]) -> None:
    """Change aliases in one step."""
    steps = [{action: {"alias_name": alias, "collection_name": name}} for action, alias, name in actions]
    instance.result("POST", "/collections/aliases", {"actions": steps})


def test_a_backup_follows_when_writes_have_ceased(fleet: Fleet) -> None:
    """Quiet time after the last write, without anybody asking; then nothing more while nothing is written."""
    instance = fleet.start(BACKUP_QUIET_SECONDS="0.3", BACKUP_MAX_AGE_SECONDS="60")
    make(instance, "c")
    put_numbers(instance, "c", range(10))
    written = time.time()
    committed = instance.event("backup.committed", within=10)
    assert committed["points"] == 10
    assert time.time() - written >= 0.2
    before = manifests(fleet)
    answer = instance.save()
    assert answer["committed"] is False
    assert [target["status"] for target in answer["targets"]] == ["skipped"]
    assert manifests(fleet) == before


def test_under_writes_without_a_pause_a_backup_is_committed_within_the_stated_age(fleet: Fleet) -> None:
    """Between two commits no more than the stated age passes, though it is never quiet."""
    instance = fleet.start(BACKUP_QUIET_SECONDS="1", BACKUP_MAX_AGE_SECONDS="1")
    make(instance, "c")
    with Load(instance, "c") as load:
        eventually(lambda: len(instance.events("backup.committed")) >= 4, 20, "four backups under load")
    sizes = [entry["points"] for entry in instance.events("backup.committed")]
    assert sizes == sorted(set(sizes)), "each holds more than the one before"
    first, last = load.acknowledged[0].at, load.acknowledged[-1].at
    # The stated age, and half as much again for a machine that does other things too.
    assert (last - first) / 4 < 1.5


def test_writes_nobody_waited_for_are_in_the_backup(fleet: Fleet) -> None:
    """`wait=false` is acknowledged before it is applied; the backup waits for the engine to have done so."""
    instance = fleet.start(**NEVER_BY_ITSELF)
    make(instance, "c")
    instance.save()
    for start in range(0, 2000, 100):
        put_numbers(instance, "c", range(start, start + 100), wait=False)
    instance.save()
    instance.kill()
    assert numbers(fleet.start(), "c") == set(range(2000))


def test_an_increment_uploads_little(fleet: Fleet) -> None:
    """After one changed point of a collection, the other collections and unchanged files are not sent again."""
    instance = fleet.start(**NEVER_BY_ITSELF)
    for name in ("large", "other"):
        make(instance, name)
        put(instance, name, [{"id": n, "vector": [n, 1], "payload": {"t": "x" * 2000}} for n in range(1000)])
    full = instance.save()
    put_numbers(instance, "other", range(1))
    increment = instance.save()
    assert {each["collection"]: each["status"] for each in increment["targets"]} == {
        "large": "skipped",
        "other": "completed",
    }
    assert increment["packed_bytes"] < full["packed_bytes"] * 0.6
    held = holdings(instance)
    instance.kill()
    assert holdings(fleet.start()) == held


def test_whatever_happened_to_collections_the_backup_holds_what_the_engine_did(fleet: Fleet) -> None:
    """Deleted, made again under the same name, renamed by alias, indexed, re-made with other shards: all equal."""
    instance = fleet.start(**NEVER_BY_ITSELF, **PATIENT)
    for name in ("deleted", "again", "resharded", "first", "second"):
        make(instance, name)
        put_numbers(instance, name, range(20))
    rename(instance, ("create_alias", "live", "first"))
    instance.save()
    for name in ("deleted", "again", "resharded"):
        instance.result("DELETE", of(name))
    make(instance, "again")
    put_numbers(instance, "again", range(5, 9))
    make(instance, "resharded", shards=3)
    put_numbers(instance, "resharded", range(30))
    instance.result("PUT", of("second", "index?wait=true"), {"field_name": "n", "field_schema": "integer"})
    put_numbers(instance, "live", range(20, 30))
    rename(instance, ("delete_alias", "live", "first"), ("create_alias", "live", "second"))
    put_numbers(instance, "live", range(50, 60))
    held = holdings(instance)
    assert len(held["collections"]["second"]["points"]) == len(held["collections"]["first"]["points"]) == 30
    second = cold_start(fleet, instance, **NEVER_BY_ITSELF, **PATIENT)
    assert holdings(second) == held
    second.result("DELETE", of("again"))
    rename(second, ("delete_alias", "live", "second"))
    held = holdings(second)
    third = cold_start(fleet, second, **PATIENT)
    assert holdings(third) == held
    linear_history(third.settings)


def test_a_collection_recovered_from_a_stock_snapshot_is_saved_as_it_is_now(fleet: Fleet) -> None:
    """The engine replaced its files under the same name: the next backup starts that collection anew."""
    instance = fleet.start(**NEVER_BY_ITSELF)
    make(instance, "c")
    put_numbers(instance, "c", range(10))
    if REAL_ENGINE is None:
        pytest.skip("the embedded engine takes no stock snapshots: set QDRANT_BIN")
    made = instance.result("POST", of("c", "snapshots"))
    snapshot = instance.ask("GET", of("c", "snapshots", made["name"])).content
    put_numbers(instance, "c", range(10, 30))
    instance.save()
    path = of("c", "snapshots", "upload?wait=true&priority=snapshot")
    recovered = instance.http.post(instance.url + path, files={"snapshot": ("c.snapshot", snapshot)})
    assert recovered.status_code == 200, recovered.text
    assert numbers(instance, "c") == set(range(10))
    put_numbers(instance, "c", range(100, 103))
    held = holdings(instance)
    instance.save()
    instance.kill()
    assert holdings(fleet.start()) == held


def test_names_of_any_script_come_back(fleet: Fleet) -> None:
    """Spaces, umlauts, ideographs, emoji, percent signs and dots: names, aliases and points equal."""
    names = ["with space", "Größe", "数据", "🙂", "50%", "a.b", "c+d=e&f"]
    instance = fleet.start(**NEVER_BY_ITSELF)
    for name, count in zip(names, itertools.count(1), strict=False):
        make(instance, name)
        put_numbers(instance, name, range(count))
    rename(instance, ("create_alias", "ålias of space", "with space"))
    put_numbers(instance, "ålias of space", range(50, 55))
    held = holdings(instance)
    restored = cold_start(fleet, instance)
    assert holdings(restored) == held
    assert set(held["collections"]) == set(names)


def test_only_the_named_collections_are_kept(fleet: Fleet) -> None:
    """QDRANT_COLLECTION_NAME: the others are served and not saved, and nothing takes them for damage."""
    instance = fleet.start(QDRANT_COLLECTION_NAME="kept, also", **PATIENT)
    for name in ("kept", "also", "scratch"):
        make(instance, name)
        put_numbers(instance, name, range(4))
    rename(instance, ("create_alias", "a", "kept"), ("create_alias", "b", "scratch"))
    held: dict[str, Any] = holdings(instance)
    restored = cold_start(fleet, instance, QDRANT_COLLECTION_NAME="kept, also", **PATIENT)
    del held["collections"]["scratch"], held["aliases"]["b"]
    assert holdings(restored) == held


@pytest.mark.timeout(120)
def test_many_collections_come_back(fleet: Fleet) -> None:
    """Each with its own point; a write to one of them moves that one alone."""
    instance = fleet.start(**NEVER_BY_ITSELF, **PATIENT)
    names = [f"c{number:03d}" for number in range(COLLECTIONS)]
    for number, name in enumerate(names):
        make(instance, name)
        put_numbers(instance, name, range(number, number + 1))
    instance.save()
    put_numbers(instance, "c007", range(500, 501))
    moved = instance.save()
    assert [each["collection"] for each in moved["targets"] if each["status"] == "completed"] == ["c007"]
    restored = cold_start(fleet, instance, **PATIENT)
    counts = {name: numbers(restored, name) for name in names}
    assert counts == {name: {n, 500} if name == "c007" else {n} for n, name in enumerate(names)}
