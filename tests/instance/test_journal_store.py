"""The journal over a store that is far, slow, silent or cut, on real processes: nothing acknowledged is lost."""

import itertools
import json
import threading
from typing import Any, Self

import httpx
import psutil
import pytest

from tests.instance.test_journal import RARELY
from tests.support.instances import Fleet, Instance, eventually
from tests.support.oracle import Oracle
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked, _parts
from tests.support.workload import make, numbers, of, points_of, put_numbers

MIB = 1 << 20
ROUND_TRIP = 0.04
# Bodies that wait for a turn and records that wait for the bucket, on their way from a socket and to one: each copied.
MOST_GROWN = 300 * MIB
SENT = 768 * MIB
PATIENT = {**RARELY, "HANDOVER_TIMEOUT_SECONDS": "10"}


def created(asked: Asked) -> str:
    """Return the name of the object that a request creates in one go, or nothing."""
    if asked.method != "POST" or asked.query.get("uploadType") != "multipart":
        return ""
    return str(asked.query.get("name") or _parts(asked)[0]["name"])


def is_journal(asked: Asked) -> bool:
    """Whether a request creates a journal object."""
    return "/journal/" in created(asked)


def is_pack_or_manifest(asked: Asked) -> bool:
    """Whether a request creates what a backup consists of."""
    told = json.dumps(asked.query) + str(asked.body[:500])
    return asked.method == "POST" and ("packs/" in told or "manifests/" in told)


@pytest.mark.timeout(300)
def test_objects_that_overtake_each_other_are_acknowledged_in_order(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """On a store 40 ms away, where every third object takes four times as long: a kill loses nothing, thrice."""
    instance = strict_fleet.start(**PATIENT)
    make(instance, "soak")
    turn = itertools.count()
    oracle = Oracle(instance, "soak", seed=3)
    for _ in range(3):
        strict.delay = lambda asked: ROUND_TRIP * (4 if is_journal(asked) and next(turn) % 3 == 0 else 1)
        oracle.resume(instance)
        with oracle:
            oracle.wait_for(60, 120)
            instance.kill()
        strict.delay = lambda _: 0
        instance = strict_fleet.start(role=None, **PATIENT).wait_for("writer", 120)
        oracle.judge(points_of(instance, "soak"))


class Senders:
    """Clients that send large writes without a pause, to see how much of it is held."""

    def __init__(self, target: Instance, megabytes: int) -> None:
        self.answers: list[int] = []
        self.sent = 0
        self._target = target
        self._text = "x" * (megabytes * MIB)
        self._numbers = itertools.count(1000)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(12)]

    def _run(self) -> None:
        """Send until the end."""
        with httpx.Client(timeout=60) as http:
            while not self._ended.is_set():
                point = {"id": next(self._numbers), "vector": [1, 1], "payload": {"text": self._text}}
                try:
                    answer = http.put(self._target.url + of("c", "points?wait=true"), json={"points": [point]})
                except httpx.TransportError:
                    self.answers.append(0)
                else:
                    self.answers.append(answer.status_code)
                self.sent += len(self._text)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self._threads), "a client has not ended"


@pytest.mark.timeout(300)
def test_a_store_that_says_nothing_fills_no_memory(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """Three quarters of a gigabyte are refused in time and not kept; reads go on; later writes are taken again."""
    settings = {**RARELY, "HANDOVER_TIMEOUT_SECONDS": "4"}
    writer = strict_fleet.start(**settings)
    make(writer, "c")
    put_numbers(writer, "c", range(1, 11))
    process = psutil.Process(writer.process.pid)
    before = most = process.memory_info().rss
    strict.plan = lambda asked: Wire.SILENCE if is_journal(asked) else None

    def is_enough() -> bool:
        """Look at the memory meanwhile."""
        nonlocal most
        most = max(most, process.memory_info().rss)
        return senders.sent > SENT

    with Senders(writer, megabytes=2) as senders:
        eventually(is_enough, 200, "all of it was sent")
        assert set(range(1, 11)) <= numbers(writer, "c")
    assert set(senders.answers) == {503}
    assert most - before < MOST_GROWN, f"grown by {(most - before) / MIB:.0f} MiB"
    strict.plan = lambda _: None
    strict.quiet.set()

    def is_taken() -> bool:
        """Whether a write is acknowledged."""
        body = {"points": [{"id": 11, "vector": [1, 1]}]}
        return writer.ask("PUT", of("c", "points?wait=true"), body).status_code == 200

    eventually(is_taken, 90, "writes are taken again")
    writer.kill()
    assert set(range(1, 12)) <= numbers(strict_fleet.start(**settings), "c")


def recover(instance: Instance, snapshot: str) -> list[int]:
    """Have a collection recovered from a snapshot of its own by the public route; return its answer when it is there.

    0: none.
    """
    answers: list[int] = []

    def ask() -> None:
        """Ask."""
        location = f"http://127.0.0.1:{instance.settings['QDRANT_HTTP_PORT']}{of('c', 'snapshots', snapshot)}"
        path = of("c", "snapshots", "recover?wait=true")
        try:
            body = {"location": location, "priority": "snapshot"}
            answers.append(httpx.put(instance.url + path, json=body, timeout=120).status_code)
        except httpx.TransportError:
            answers.append(0)

    threading.Thread(target=ask, daemon=True).start()
    return answers


def objects(strict: StrictGcs, kind: str) -> int:
    """Return how many objects of the journal say that they are of a kind."""
    told = f'"kind":"{kind}"'.encode()
    return sum("/journal/" in name and told in there.data[:400] for name, there in dict(strict.objects.stored).items())


def head(strict: StrictGcs) -> dict[str, Any]:
    """Return what HEAD says."""
    return dict(json.loads(strict.objects.stored["some/prefix/HEAD"].data))


def with_a_snapshot(fleet: Fleet) -> tuple[Instance, str]:
    """Return an instance that made a stock snapshot of 1 to 10 and goes on to 20, and the snapshot's name."""
    first = fleet.start(**PATIENT)
    make(first, "c")
    put_numbers(first, "c", range(1, 11))
    made = first.result("POST", of("c", "snapshots"))
    put_numbers(first, "c", range(11, 21))
    return first, str(made["name"])


@pytest.mark.timeout(300)
def test_a_recovery_that_died_before_its_backup_was_never_made(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """It is in the journal as what only a backup tells, and in none: the next start passes it over, loses nothing."""
    first, snapshot = with_a_snapshot(strict_fleet)
    strict.plan = lambda asked: Wire.UNAVAILABLE if is_pack_or_manifest(asked) else None
    answers = recover(first, snapshot)
    eventually(lambda: objects(strict, "opaque"), 60, "it is recorded")
    assert numbers(first, "c") == set(range(1, 11))
    first.kill()
    eventually(lambda: answers, 30, "its client knows")
    assert answers != [200]
    strict.plan = lambda _: None
    second = strict_fleet.start(**PATIENT)
    assert numbers(second, "c") == set(range(1, 21))
    put_numbers(second, "c", range(21, 23))
    second.kill()
    assert numbers(strict_fleet.start(**PATIENT), "c") == set(range(1, 23))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_heard", [True, False])
def test_a_recovery_that_died_after_its_backup_is_there(
    strict_fleet: Fleet,
    strict: StrictGcs,
    is_heard: bool,  # noqa: FBT001 - a case
) -> None:
    """Acknowledged, with what was written after it; or committed and the commit's answer never heard."""
    first, snapshot = with_a_snapshot(strict_fleet)
    before = head(strict)["seq"]
    if not is_heard:
        strict.delay = lambda _: 30.0 if head(strict)["seq"] > before else 0.0
    answers = recover(first, snapshot)
    if is_heard:
        eventually(lambda: answers, 60, "it is answered")
        assert answers == [200]
        put_numbers(first, "c", range(30, 33))
    else:
        eventually(lambda: head(strict)["seq"] > before, 60, "it is committed")
    first.kill()
    strict.delay = lambda _: 0.0
    second = strict_fleet.start(**PATIENT)
    assert numbers(second, "c") == set(range(1, 11)) | (set(range(30, 33)) if is_heard else set())
