"""Streams while writes and the optimizer go on: one instant, nothing lost."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import requests

from tests.engine.streaming import full, optimizing, restored, serving, stream, upsert, wait_replaced
from tests.support.engines import EMBEDDED, Engine, running
from tests.support.streams import ShardState


class Writer:
    """Writes one point after the other, and remembers when each was sent and acknowledged."""

    def __init__(self, write: Callable[[int], None]) -> None:
        self.sent: list[float] = []
        self.acknowledged: list[float] = []
        self._write = write
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        """Write until told to stop."""
        for number in itertools.count():
            if self._stop.is_set():
                return
            self.sent.append(time.monotonic())
            self._write(number)
            self.acknowledged.append(time.monotonic())


def test_stream_holds_one_instant_before_its_first_byte(
    engine: Engine, engine_argv: Sequence[str], collection: str, tmp_path: Path
) -> None:
    """Under a writer the stream is a prefix of the writes that ends between request and first byte."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 0}}
    engine.result("PUT", f"/collections/{collection}", body)
    with Writer(lambda number: upsert(engine, collection, range(number, number + 1))) as writer:
        while len(writer.acknowledged) < 30:
            time.sleep(0.001)
        asked = time.monotonic()
        url = f"{engine.url}/collections/{collection}/shards/0/snapshot/partial/create"
        with requests.post(url, json={}, stream=True, timeout=30) as reply:
            chunks = reply.iter_content(64 * 1024)
            archive = [next(chunks)]
            first_byte = time.monotonic()
            archive += chunks
        seen = len(writer.acknowledged)
        while len(writer.acknowledged) < seen + 10:
            time.sleep(0.001)
    state = ShardState().apply(b"".join(archive))
    with serving(restored(engine, engine_argv, tmp_path, collection, state)) as second:
        held = sorted(int(number) for number in second.points(collection))
    assert held == list(range(len(held)))
    assert len(held) >= sum(moment < asked for moment in writer.acknowledged)
    assert len(held) <= sum(moment < first_byte for moment in writer.sent)


def test_slow_stream_keeps_its_instant(tmp_path: Path) -> None:
    """While a stream is slow writes go on, and none of them gets into it (a switch for tests)."""
    slow = {"EMBEDDED_ENGINE_STREAM_BYTES_PER_SECOND": "500000"}
    with running(EMBEDDED, tmp_path / "first", **slow) as engine:
        engine.result("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}})
        for start in range(0, 5000, 1000):
            upsert(engine, "c", range(start, start + 1000))
        url = f"{engine.url}/collections/c/shards/0/snapshot/partial/create"
        with requests.post(url, json={}, stream=True, timeout=30) as reply:
            chunks = reply.iter_content(1024)
            archive = [next(chunks)]
            upsert(engine, "c", range(5000, 6000))
            assert engine.result("POST", "/collections/c/points/count", {"exact": True})["count"] == 6000
            archive += chunks
        state = ShardState().apply(b"".join(archive))
        with serving(restored(engine, EMBEDDED, tmp_path / "second", "c", state)) as second:
            assert set(second.points("c")) == set(range(5000))
        assert list((engine.folder / "snapshots" / "tmp").iterdir()) == []


def test_replaced_segments_leave_the_next_increment_whole(
    engine: Engine, engine_argv: Sequence[str], collection: str, tmp_path: Path
) -> None:
    """When the optimizer puts a new segment in another's place, the increment brings it and drops the old."""
    optimizing(engine, collection)
    upsert(engine, collection, range(20))
    state = full(engine, collection)
    upsert(engine, collection, range(10, 2000))
    wait_replaced(engine, collection, state)
    archive = stream(engine, collection, state.manifests)
    assert archive is not None
    merged = state.apply(archive)
    gone = state.manifests.keys() - merged.manifests.keys()
    assert not any(segment in name for name in merged.files for segment in gone)
    with serving(restored(engine, engine_argv, tmp_path, collection, merged)) as second:
        assert second.points(collection) == engine.points(collection)
