"""What it costs that no acknowledged write is lost, and how fast the journal is done again and followed.

Measures acknowledgements against a bucket behind a round trip, with the journal and without, in turns; the replay of a
start; and how far a reader is behind.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median

import psutil

from bench import points, workloads
from bench.report import RATIO, Figure, Subject, figure, ratios
from bench.stage import Stage, events
from bench.store import BUCKET, Link, running_store
from bench.waiting import answer, until
from local.instance import LocalInstance

LINK = Link(round_trip_ms=40)
_WRITERS = 32
_BATCH = 100
_BODIES = 16
_READER_WRITES_A_SECOND = 100
_HEADERS = {"Content-Type": "application/json"}
_PATH = f"/collections/{points.COLLECTION}/points?wait=true"
_JOURNAL = {"DURABILITY": "journal"}


def measure(stage: Stage) -> Subject:
    """Measure all of it."""
    data = workloads.dense(0)
    figures = [*_acknowledgements(stage, data), *_replays(stage, data), *_reader(stage, data)]
    return Subject("journal", "What no lost write costs", f"a bucket behind {LINK}", figures)


def _acknowledgements(stage: Stage, data: workloads.Workload) -> list[Figure]:
    single, batches = [points.upsert_body([number]) for number in range(_BODIES)], _batches()
    alone: dict[str, list[float]] = {"with": [], "without": []}
    many: dict[str, list[float]] = {"with": [], "without": []}
    with running_store(LINK) as address, ExitStack() as stack:
        ways = {
            "with": _started(stage, data, stack, address, "with", _JOURNAL),
            "without": _started(stage, data, stack, address, "without", {}),
        }
        for _, order in stage.in_turns(ways):
            for way in order:
                port = ways[way].ports.public
                alone[way].append(median(_written(port, single, 1, stage.sizes.round_seconds)))
                many[way].append(len(_written(port, batches, _WRITERS, 2 * stage.sizes.round_seconds)))
        memory = psutil.Process(ways["with"].process.pid).memory_info().rss / 1e6
    trip = LINK.round_trip_ms / 1000
    more = [(one - other) / trip for one, other in zip(alone["with"], alone["without"], strict=True)]
    return [
        figure("journal.ack.trips", "acknowledging one write: what it takes longer / round trip", RATIO, more),
        figure("journal.ack.ms", "  time", "ms", [1000 * one for one in alone["with"]]),
        figure(
            "journal.many.throughput",
            f"{_WRITERS} writers of {_BATCH} points each: throughput / without a journal",
            RATIO,
            ratios(many["with"], many["without"]),
        ),
        figure("journal.memory", "memory of agent and gate after it", "MB", [memory]),
    ]


def _replays(stage: Stage, data: workloads.Workload) -> list[Figure]:
    batches = _batches()
    direct, again = [], []
    for _ in range(stage.sizes.repetitions):
        with stage.engine_alone(stage.new_folder("alone") / "storage") as engine:
            data.create(engine.rest)
            started = time.monotonic()
            count = len(_written(engine.rest, batches, 4, 2 * stage.sizes.round_seconds))
            direct.append(count / (time.monotonic() - started))
        bucket = stage.new_folder("bucket")
        with stage.instance(bucket, settings=_JOURNAL) as instance:
            instance.wait_until("ready")
            data.create(instance.ports.public)
            instance.snapshot()
            written = len(_written(instance.ports.public, batches, 4, 2 * stage.sizes.round_seconds))
            instance.kill()
        with stage.instance(bucket, settings=_JOURNAL) as instance:
            instance.wait_until("ready again")
            done = events(instance)["replay.finished"]
            again.append(done["records"] / (done["milliseconds"] / 1000))
            if done["records"] < written:
                raise RuntimeError(f"{written} writes were acknowledged, {done['records']} replayed")
    return [
        figure(
            "journal.replay.rate", "replay: records a second / direct upserts a second", RATIO, ratios(again, direct)
        ),
        figure("journal.replay.records", "  replayed", "/s", again),
    ]


def _reader(stage: Stage, data: workloads.Workload) -> list[Figure]:
    bucket = stage.new_folder("bucket")
    lags: list[float] = []
    with stage.instance(bucket, settings=_JOURNAL) as writer:
        writer.wait_until("ready")
        data.create(writer.ports.public)
        writer.snapshot()
        with stage.instance(bucket, settings={**_JOURNAL, "INSTANCE_ROLE": "reader"}) as reader:
            until(lambda: answer(reader.ports.public, f"/collections/{points.COLLECTION}") is not None)
            with _paced(writer.ports.public) as acknowledged:
                for _ in range(5 * stage.sizes.repetitions):
                    until(lambda: bool(acknowledged))
                    number, at = acknowledged[-1]
                    path = f"/collections/{points.COLLECTION}/points/{number}"
                    lags.append(until(lambda path=path: answer(reader.ports.public, path) is not None) - at)  # type: ignore[misc]
    said = f"a reader behind a writer of {_READER_WRITES_A_SECOND} writes a second"
    return [figure("journal.reader.lag", said, "s", lags)]


@contextmanager
def _paced(port: int) -> Iterator[list[tuple[int, float]]]:
    """Write one new point after the other at a steady rate; yields their numbers and when each was acknowledged."""
    acknowledged: list[tuple[int, float]] = []
    ended = threading.Event()

    def write() -> None:
        with _connection(port) as send:
            for number in itertools.count(1_000_000):
                if ended.is_set():
                    return
                if send(points.upsert_body([number])):
                    acknowledged.append((number, time.monotonic()))
                ended.wait(1 / _READER_WRITES_A_SECOND)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        thread.join()


def _written(port: int, bodies: Sequence[bytes], writers: int, seconds: float) -> list[float]:
    """Write for so long; return how long each acknowledged write took."""
    took: list[float] = []
    deadline = time.monotonic() + seconds

    def write(first: int) -> None:
        with _connection(port) as send:
            for number in itertools.count(first):
                started = time.monotonic()
                if started >= deadline:
                    return
                if send(bodies[number % len(bodies)]):
                    took.append(time.monotonic() - started)

    threads = [threading.Thread(target=write, args=(7 * index,)) for index in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


@contextmanager
def _connection(port: int) -> Iterator[Callable[[bytes], bool]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(body: bytes) -> bool:
        connection.request("PUT", _PATH, body, _HEADERS)
        response = connection.getresponse()
        text = response.read()
        if response.status not in {200, 503}:
            raise RuntimeError(f"an upsert was answered {response.status}: {json.loads(text)}")
        return response.status == 200

    try:
        yield send
    finally:
        connection.close()


def _batches() -> list[bytes]:
    return [points.upsert_body(range(start, start + _BATCH)) for start in range(0, _BODIES * _BATCH, _BATCH)]


def _started(
    stage: Stage, data: workloads.Workload, stack: ExitStack, address: str, name: str, more: dict[str, str]
) -> LocalInstance:
    settings = {"STORAGE_EMULATOR_HOST": address, **more}
    instance = stack.enter_context(stage.instance(f"gs://{BUCKET}/{name}", settings=settings))
    instance.wait_until("ready")
    data.create(instance.ports.public)
    return instance
