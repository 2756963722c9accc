"""A write that was acknowledged is there again: the journal, on real processes."""

import gzip
import json
import signal
import sys
import threading
from pathlib import Path

import httpx
import pytest
from qdrant_client import models

from tests.support.instances import EMBEDDED, REAL_ENGINE, Fleet, Instance, eventually, free_ports
from tests.support.oracle import Oracle
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.workload import grpc_client, holdings, make, numbers, of, points_of, put, put_numbers, shown

# No backup comes by itself: what is there again comes from the journal.
RARELY = {"BACKUP_QUIET_SECONDS": "600", "BACKUP_MAX_AGE_SECONDS": "600", "REPLAY_TARGET_SECONDS": "3600"}
KEY, READ_ONLY = "key-that-writes-4711", "key-that-reads-0815"


def journal(fleet: Fleet) -> list[Path]:
    """Return the journal's objects, oldest first."""
    return sorted(path for path in (fleet.bucket / "journal").rglob("*") if path.is_file() and path.name.isdigit())


def again(fleet: Fleet, instance: Instance, **settings: str) -> Instance:
    """Kill an instance and start another, on an empty disk."""
    instance.kill()
    return fleet.start(**{**RARELY, **settings})


@pytest.mark.timeout(300)
def test_a_kill_amid_rest_and_grpc_loses_nothing(fleet: Fleet) -> None:
    """Every acknowledged write is there, no delete is undone, and what many wrote at once ended as it was applied."""
    instance = fleet.start(**RARELY)
    make(instance, "soak")
    with Oracle(instance, "soak", seed=1) as oracle:
        oracle.wait_for(150, 120)
        instance.kill()
    second = fleet.start(**RARELY)
    oracle.judge(points_of(second, "soak"))
    assert not second.health()["restore"]["backup"]
    oracle.resume(second)
    with oracle:
        oracle.wait_for(50, 120)
        second.save()
        oracle.wait_for(50, 120)
        second.save()
        oracle.wait_for(50, 120)
        second.kill()
    newest = max((fleet.bucket / "manifests").glob("*.json"))
    newest.write_bytes(b"{}")
    third = fleet.start(**RARELY)
    oracle.judge(points_of(third, "soak"))
    assert third.health()["restore"]["damaged"]


@pytest.mark.timeout(200)
def test_every_kind_of_write_is_done_again(fleet: Fleet) -> None:
    """Conditions, batches, no wait, orderings, indexes, aliases, shards, collections: all as before the kill."""
    first = fleet.start(**RARELY)
    make(first, "one")
    make(first, "three", shards=3)
    make(first, "gone")
    put_numbers(first, "gone", range(1, 4))
    put_numbers(first, "one", range(1, 31))
    put_numbers(first, "three", range(1, 31))
    put_numbers(first, "one", range(31, 41), wait=False)
    point = [{"id": 41, "vector": [1, 1], "payload": {"n": 41}}]
    first.result("PUT", of("one", "points?wait=true&ordering=strong"), {"points": point})
    some = {"must": [{"key": "n", "range": {"lte": 10}}]}
    first.result("PUT", of("one", "index?wait=true"), {"field_name": "n", "field_schema": "integer"})
    first.result("POST", of("one", "points/payload?wait=true"), {"payload": {"low": True}, "filter": some})
    first.result("POST", of("three", "points/payload?wait=true"), {"payload": {"low": True}, "filter": some})
    lowest = {"must": [{"key": "low", "match": {"value": True}}, {"key": "n", "range": {"lte": 3}}]}
    first.result("POST", of("one", "points/delete?wait=true"), {"filter": lowest})
    batch = [
        {"upsert": {"points": [{"id": 50, "vector": [5, 5], "payload": {"n": 50}}]}},
        {"set_payload": {"payload": {"batch": 1}, "points": [50, 20]}},
        {"delete": {"points": [21]}},
    ]
    for name in ("one", "three"):
        first.result("POST", of(name, "points/batch?wait=true"), {"operations": batch})
    actions = [{"create_alias": {"collection_name": "one", "alias_name": "current"}}]
    first.result("POST", "/collections/aliases", {"actions": actions})
    put(first, "current", [{"id": 60, "vector": [6, 0], "payload": {"n": 60}}])
    first.result("DELETE", of("gone"))
    make(first, "gone", shards=2)
    put_numbers(first, "gone", range(7, 9))
    with grpc_client(first) as client:
        client.upsert("current", [models.PointStruct(id=61, vector=[6.0, 1.0], payload={"n": 61})], wait=True)
        client.upsert("three", [models.PointStruct(id=61, vector=[6.0, 1.0], payload={"n": 61})], wait=False)
        client.delete("one", models.PointIdsList(points=[22]), wait=True)
        client.create_payload_index("three", "n", models.PayloadSchemaType.INTEGER, wait=True)
        client.overwrite_payload("one", {"n": 23, "over": "written"}, points=[23], wait=True)
    moved = [
        {"delete_alias": {"alias_name": "current"}},
        {"create_alias": {"collection_name": "three", "alias_name": "current"}},
    ]
    first.result("POST", "/collections/aliases", {"actions": moved})
    put(first, "current", [{"id": 62, "vector": [6, 2], "payload": {"n": 62}}])
    first.result("POST", of("one", "points/payload/delete?wait=true"), {"keys": ["low"], "points": [5]})
    first.result("POST", of("one", "points/payload/clear?wait=true"), {"points": [6]})
    first.result("PUT", of("one", "points/vectors?wait=true"), {"points": [{"id": 7, "vector": [7, 7]}]})
    eventually(lambda: 61 in numbers(first, "three") and 40 in numbers(first, "one"), 10, "all is applied")
    before = holdings(first)
    second = again(fleet, first)
    assert holdings(second) == before
    second.save()
    third = again(fleet, second)
    assert holdings(third) == before


@pytest.mark.timeout(200)
def test_what_was_refused_or_denied_is_not_done_later(fleet: Fleet) -> None:
    """A key that only reads deletes nothing, not at the next start either; half a batch counts as the engine has it."""
    keys = {"QDRANT_API_KEY": KEY, "QDRANT_READ_ONLY_API_KEY": READ_ONLY}
    first = fleet.start(**RARELY, **keys)
    first.http.headers["api-key"] = KEY
    make(first, "c")
    put_numbers(first, "c", range(1, 6))
    reads = {"headers": {"api-key": READ_ONLY}}
    assert first.ask("POST", of("c", "points/delete?wait=true"), {"points": [1]}, **reads).status_code in {401, 403}
    assert first.ask("DELETE", of("c"), **reads).status_code in {401, 403}
    assert first.ask("PUT", of("absent", "points?wait=true"), {"points": []}).status_code == 404
    wrong = [
        {"upsert": {"points": [{"id": 7, "vector": [1, 1], "payload": {"n": 7}}]}},
        {"upsert": {"points": [{"id": 8, "vector": [1, 1, 1], "payload": {"n": 8}}]}},
    ]
    assert first.ask("POST", of("c", "points/batch?wait=true"), {"operations": wrong}).status_code == 400
    put_numbers(first, "c", range(9, 10))
    before = holdings(first)
    first.kill()
    second = fleet.start(**RARELY, **keys)
    second.http.headers["api-key"] = KEY
    assert holdings(second) == before


@pytest.mark.timeout(200)
def test_large_and_compressed_bodies_are_there_again(fleet: Fleet) -> None:
    """20 MB in one write is replayed; what is compressed, or larger than is kept, is acknowledged with a backup."""
    first = fleet.start(**RARELY)
    make(first, "c")
    put(first, "c", [{"id": 1, "vector": [1, 1], "payload": {"text": "x" * 20_000_000}}])
    body = json.dumps({"points": [{"id": 2, "vector": [2, 2], "payload": {}}]}).encode()
    compressed = first.http.put(
        first.url + of("c", "points?wait=true"),
        content=gzip.compress(body),
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    put_numbers(first, "c", range(3, 5))
    held = numbers(first, "c")
    assert {1, 3, 4} <= held
    assert (2 in held) == (compressed.status_code == 200)
    second = again(fleet, first)
    assert numbers(second, "c") == held
    assert len(points_of(second, "c")[1]["payload"]["text"]) == 20_000_000


@pytest.mark.timeout(200)
def test_a_frozen_writer_acknowledges_nothing_behind_the_seal(fleet: Fleet) -> None:
    """Replaced while it stood still, it refuses what it was sent, and soon shows what the new writer holds."""
    keeps = {"HANDOVER_IDLE_SECONDS": "600"}  # who thaws may ask for the lineage, and is turned down
    frozen = fleet.start(**RARELY, **keeps)
    make(frozen, "c")
    put_numbers(frozen, "c", range(1, 11))
    frozen.signal(signal.SIGSTOP)
    answers: list[int] = []

    def write() -> None:
        """Send a write to who stands still."""
        body = {"points": [{"id": 99, "vector": [9, 9], "payload": {"n": 99}}]}
        answers.append(httpx.put(frozen.url + of("c", "points?wait=true"), json=body, timeout=90).status_code)

    waiting = threading.Thread(target=write)
    waiting.start()
    second = fleet.start(**RARELY, **keeps)
    put_numbers(second, "c", range(11, 21))
    frozen.signal(signal.SIGCONT)
    waiting.join(90)
    assert answers
    assert answers[0] != 200
    frozen.wait_for("standby")
    assert numbers(second, "c") == set(range(1, 21))
    eventually(lambda: shown(frozen, "c") == set(range(1, 21)), 30, "it shows what was acknowledged, no more")
    third = again(fleet, second)
    assert numbers(third, "c") == set(range(1, 21))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wire", [Wire.RESET_BEFORE, Wire.RESET_AFTER, Wire.UNAVAILABLE, Wire.CUT, None])
def test_a_bad_bucket_loses_nothing(strict_fleet: Fleet, strict: StrictGcs, wire: Wire | None) -> None:
    """Each second journal object meets the fault; None: all fail for a while. What was acknowledged is there again."""
    settings = {**RARELY, "HANDOVER_TIMEOUT_SECONDS": "4"}
    first = strict_fleet.start(**settings)
    make(first, "soak")
    count = [0]

    def plan(asked: object) -> Wire | None:
        """Let each second creation go wrong."""
        if getattr(asked, "method", "") != "POST" or "journal" not in str(getattr(asked, "query", "")) + str(
            getattr(asked, "body", b"")[:300]
        ):
            return None
        count[0] += 1
        return (wire if count[0] % 2 else None) if wire else Wire.UNAVAILABLE

    with Oracle(first, "soak", seed=2) as oracle:
        oracle.wait_for(20, 60)
        strict.plan = plan
        if wire is None:
            eventually(lambda: oracle.refusals > 3, 60, "writes are refused")
            strict.plan = lambda _: None
            oracle.wait_for(20, 90)
        else:
            oracle.wait_for(40, 120)
            assert count[0] > 1
        first.kill()
    strict.plan = lambda _: None
    second = strict_fleet.start(**settings)
    oracle.judge(points_of(second, "soak"))


@pytest.mark.timeout(200)
def test_a_reader_shows_a_write_soon_and_a_standby_takes_over_with_its_engine(fleet: Fleet) -> None:
    """A reader has a write in seconds; a standby becomes the writer with the engine it has, and everything."""
    writer = fleet.start(**RARELY)
    make(writer, "c")
    put_numbers(writer, "c", range(1, 6))
    writer.save()
    reader = fleet.start(role="standby", INSTANCE_ROLE="reader", **RARELY)
    for number in (6, 7, 8):
        put_numbers(writer, "c", range(number, number + 1))
        eventually(lambda number=number: number in shown(reader, "c"), 10, "shown")  # type: ignore[misc]
    says = reader.health()["following"]
    assert says["records"] >= 3
    assert says["position"] == writer.health()["journal"]["position"]
    assert (says["lag_seconds"] < 10, says["error"]) == (True, None)
    assert "qdrant_follower_lag_seconds" in reader.ask("GET", "/api/metrics").text
    assert writer.health()["following"] is None
    assert reader.ask("PUT", of("c", "points"), {"points": []}).status_code == 503
    third = fleet.start(**RARELY)
    writer.wait_for("standby")
    put_numbers(third, "c", range(9, 30))
    eventually(lambda: 29 in shown(writer, "c"), 20, "the standby follows")
    engine = writer.children()["engine"].pid
    third.kill()

    def takes() -> bool:
        """Whether the standby takes a write."""
        body = {"points": [{"id": 30, "vector": [3, 0], "payload": {"n": 30}}]}
        return writer.ask("PUT", of("c", "points?wait=true"), body).status_code == 200

    eventually(takes, 60, "the standby became the writer")
    assert writer.children()["engine"].pid == engine
    assert numbers(writer, "c") == set(range(1, 31))


@pytest.mark.timeout(200)
def test_a_stop_amid_a_replay_loses_nothing(fleet: Fleet) -> None:
    """SIGTERM while the journal is replayed: it ends in time, and the next start does all of it."""
    first = fleet.start(**RARELY)
    make(first, "c")
    for start in range(1, 401, 4):
        put_numbers(first, "c", range(start, start + 4))
    first.kill()
    second = fleet.start(role=None, **RARELY)
    eventually(lambda: second.events("restore.nothing") or second.answers(), 60, "it is on its way")
    status, seconds = second.terminate(60)
    assert (status, seconds < 20) == (0, True)
    third = fleet.start(**RARELY)
    assert numbers(third, "c") == set(range(1, 401))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", ["damaged", "missing", "of another lineage", "cut"])
def test_a_journal_that_is_not_whole_is_never_replayed(fleet: Fleet, wrong: str) -> None:
    """The start is refused and says at which object; nothing was claimed, or it was let go again."""
    first = fleet.start(**RARELY)
    make(first, "c")
    for number in range(1, 13):
        put_numbers(first, "c", range(number, number + 1))
    first.kill()
    victim = journal(fleet)[3]
    data = victim.read_bytes()
    if wrong == "missing":
        victim.unlink()
    elif wrong == "damaged":
        victim.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif wrong == "cut":
        victim.write_bytes(data[: len(data) // 2])
    else:
        (fleet.folder / "other").mkdir()
        with Fleet(fleet.folder / "other") as other:
            stranger = other.start(**RARELY)
            make(stranger, "c")
            for number in range(1, 6):
                put_numbers(stranger, "c", range(number, number + 1))
            stranger.kill()
            victim.write_bytes(journal(other)[3].read_bytes())
    second = fleet.start(role=None, **RARELY)
    assert second.ended(60) == 4
    assert f"{int(victim.parent.name)}/{int(victim.name)}" in second.output
    assert wrong != "of another lineage" or "another lineage" in second.output
    victim.write_bytes(data)
    third = fleet.start(**RARELY)
    assert numbers(third, "c") == set(range(1, 13))


@pytest.mark.timeout(200)
def test_an_engine_whose_grpc_listens_late_is_waited_for(fleet: Fleet, tmp_path: Path) -> None:
    """Its REST is ready first; a write by gRPC that is done again at once finds it listening."""
    first = fleet.start(**RARELY)
    make(first, "c")
    put_numbers(first, "c", range(1, 6))
    with grpc_client(first) as client:
        client.delete("c", models.PointIdsList(points=[3]), wait=True)
    first.kill()
    late = tmp_path / "late-engine"
    late.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.late_grpc "$@"\n')
    late.chmod(0o755)
    engine = {"LATE_GRPC_ENGINE": REAL_ENGINE or str(EMBEDDED), "LATE_GRPC_PORT": str(free_ports(1)[0])}
    second = fleet.start(QDRANT_BIN=str(late), **engine, **RARELY)
    assert numbers(second, "c") == {1, 2, 4, 5}


def test_a_collection_that_is_not_kept_is_not_in_the_way(fleet: Fleet) -> None:
    """Writes to a collection that no backup holds, and aliases of it, do not stop a start that replays the others."""
    kept = {**RARELY, "QDRANT_COLLECTION_NAME": "kept"}
    first = fleet.start(**kept)
    for name in ("kept", "other"):
        make(first, name)
        first.result("PUT", of(name, "points?wait=true"), {"points": [{"id": 1, "vector": [1, 1]}]})
        action = {"create_alias": {"collection_name": name, "alias_name": f"{name}-alias"}}
        first.result("POST", "/collections/aliases", {"actions": [action]})
    first.kill()
    second = fleet.start(**kept)
    assert [found["name"] for found in second.result("GET", "/collections")["collections"]] == ["kept"]
    assert second.result("GET", "/collections/kept-alias/points/1")["id"] == 1
