import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from tests.support.engines import EMBEDDED, Engine, running, wait_until
from tests.support.streams import ShardState, names, place_collection

Vector = list[float]


def stream(engine: Engine, collection: str, manifests: dict[str, Any], shard: int = 0) -> bytes | None:
    """Ask for what `manifests` lack; answer the archive, or None when nothing is new."""
    reply = engine.call("POST", f"/collections/{collection}/shards/{shard}/snapshot/partial/create", manifests)
    assert reply.status in (200, 304), reply.body
    return reply.raw if reply.status == 200 else None


def full(engine: Engine, collection: str) -> ShardState:
    """Answer the whole of a collection's first shard."""
    archive = stream(engine, collection, {})
    assert archive is not None
    return ShardState().apply(archive)


def restored(engine: Engine, argv: Sequence[str], folder: Path, collection: str, *shards: ShardState) -> Engine:
    """Answer an engine, ready and yet to be ended, on nothing but what the streams carried."""
    place_collection(engine.storage / "collections" / collection, folder / "storage/collections" / collection, shards)
    return Engine(argv, folder, {})


@contextmanager
def serving(started: Engine) -> Iterator[Engine]:
    """Wait for a started engine, and end it with the block."""
    try:
        started.wait_ready()
        yield started
    finally:
        started.kill()


def point(number: int) -> dict[str, Any]:
    """Answer a point that tells its number in every part of it."""
    return {"id": number, "vector": [number, 1.0, 0.5, 0.25], "payload": {"n": number, "k": f"k{number % 5}"}}


def upsert(engine: Engine, collection: str, numbers: Iterator[int] | range) -> None:
    """Write points and wait for them."""
    body = {"points": [point(number) for number in numbers]}
    engine.result("PUT", f"/collections/{collection}/points?wait=true", body)


@pytest.fixture
def filled(engine: Engine, collection: str) -> str:
    """Answer a collection of 300 points with one payload index, not optimized meanwhile."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 0}}
    engine.result("PUT", f"/collections/{collection}", body)
    index = {"field_name": "k", "field_schema": "keyword"}
    engine.result("PUT", f"/collections/{collection}/index?wait=true", index)
    upsert(engine, collection, range(300))
    return collection


@pytest.fixture
def optimized(engine: Engine, collection: str) -> str:
    """Answer a collection of 2000 points, most of them in a segment that is immutable by now."""
    _optimizing(engine, collection)
    upsert(engine, collection, range(20))
    state = full(engine, collection)
    upsert(engine, collection, range(20, 2000))
    _wait_replaced(engine, collection, state)
    return collection


def _optimizing(engine: Engine, collection: str) -> None:
    """Make a collection whose segments are optimized as soon as they hold a kilobyte."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 1}}
    engine.result("PUT", f"/collections/{collection}", body)


def _wait_replaced(engine: Engine, collection: str, before: ShardState) -> None:
    """Return once a segment that was there has given way to another."""
    path = f"/collections/{collection}/shards/0/snapshot/partial/manifest"
    wait_until(lambda: not before.manifests.keys() <= engine.result("GET", path).keys(), 20, "a new segment")


def test_stream_is_chunked_and_named(engine: Engine, filled: str) -> None:
    """The headers are the recorded ones: chunked, no length, a file name."""
    reply = engine.call("POST", f"/collections/{filled}/shards/0/snapshot/partial/create", {})
    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"].startswith(f'attachment; filename="{filled}-shard-0-')
    assert "content-length" not in reply.headers


def test_members_stand_in_the_recorded_order(engine: Engine, filled: str) -> None:
    """Manifest first, version last in each segment; then clocks, log, replica state, shard configuration."""
    archive = stream(engine, filled, {})
    assert archive is not None
    members = names(archive)
    tail = [name for name in members if not name.startswith("segments/")]
    clocks = [name for name in tail if name.endswith("_clocks.json")]
    assert tail[: len(clocks)] == clocks
    assert [name.split("-")[0] for name in tail[len(clocks) :]] == [
        "wal",
        "wal/closed",
        "replica_state.json",
        "shard_config.json",
    ]
    for segment, group in itertools.groupby(members[: -len(tail)], lambda name: name.split("/")[1]):
        inside = [name.removeprefix(f"segments/{segment}/files/") for name in group]
        assert inside[0] == "segment_manifest.json"
        assert inside[-2:] == ["segment.json", "version.info"]


def test_holes_are_not_streamed(engine: Engine, filled: str) -> None:
    """Files of many megabytes that are mostly holes make a stream of less than one."""
    archive = stream(engine, filled, {})
    assert archive is not None
    assert len(archive) < 1_000_000
    assert max(len(content) for content in ShardState().apply(archive).files.values()) > 30_000_000


def test_plain_stream_has_no_manifests(engine: Engine, filled: str) -> None:
    """The stream for whole snapshots carries the same files and no manifest."""
    plain = engine.call("GET", f"/collections/{filled}/shards/0/snapshot").raw
    archive = stream(engine, filled, {})
    assert archive is not None
    expected = [name for name in names(archive) if not name.endswith("segment_manifest.json")]
    assert sorted(names(plain)) == sorted(expected)


def test_same_manifest_is_not_modified(engine: Engine, filled: str) -> None:
    """With the manifests that a stream carried the answer is 304, as often as one asks."""
    manifests = full(engine, filled).manifests
    assert stream(engine, filled, manifests) is None
    assert stream(engine, filled, manifests) is None


def test_effective_write_ends_not_modified(engine: Engine, filled: str) -> None:
    """One changed payload is enough for the next stream to be one."""
    manifests = full(engine, filled).manifests
    engine.result("POST", f"/collections/{filled}/points/payload?wait=true", {"payload": {"z": 1}, "points": [3]})
    assert stream(engine, filled, manifests) is not None


def test_increment_carries_only_what_changed(engine: Engine, optimized: str) -> None:
    """Of a segment that is immutable by now only the changed files are sent, and its vectors never."""
    state = full(engine, optimized)
    upsert(engine, optimized, range(5000, 5010))
    archive = stream(engine, optimized, state.manifests)
    assert archive is not None
    sent = set(names(archive))
    left_out = 0
    for segment, manifest in ShardState().apply(archive).manifests.items():
        old = state.manifests.get(segment)
        for path, version in manifest["file_versions"].items():
            if old and version and version == old["file_versions"].get(path):
                assert f"segments/{segment}/files/{path}" not in sent
                left_out += 1
    assert left_out
    assert len(archive) < len(stream(engine, optimized, {}) or b"") / 2


def test_stale_manifest_gets_everything_since(
    engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path
) -> None:
    """A base several increments old needs only one stream to be brought up to date."""
    state = full(engine, filled)
    for start in (300, 310, 320):
        upsert(engine, filled, range(start, start + 10))
        assert stream(engine, filled, state.manifests) is not None
    engine.result("POST", f"/collections/{filled}/points/delete?wait=true", {"points": [1, 2]})
    last = stream(engine, filled, state.manifests)
    assert last is not None
    with serving(restored(engine, engine_argv, tmp_path, filled, state.apply(last))) as second:
        assert second.points(filled) == engine.points(filled)


def test_manifest_is_equal_after_a_restart(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """What was streamed before a restart needs no streaming after it."""
    with running(engine_argv, tmp_path) as first:
        body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 0}}
        first.result("PUT", "/collections/c", body)
        upsert(first, "c", range(50))
        state = full(first, "c")
    with running(engine_argv, tmp_path) as second:
        manifests = second.result("GET", "/collections/c/shards/0/snapshot/partial/manifest")
        # Versions live in memory: after a restart a file counts as old as its segment, never older.
        for segment, manifest in manifests.items():
            before = state.manifests[segment]
            assert manifest["segment_version"] == before["segment_version"]
            assert manifest["file_versions"].keys() == before["file_versions"].keys()
        assert stream(second, "c", manifests) is None


def test_merged_streams_restore_every_point(
    engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path
) -> None:
    """Full and increment, merged and placed, are loaded with equal points and a usable index."""
    state = full(engine, filled)
    upsert(engine, filled, range(290, 350))
    engine.result("POST", f"/collections/{filled}/points/delete?wait=true", {"points": [0, 17]})
    index = {"field_name": "n", "field_schema": "integer"}
    engine.result("PUT", f"/collections/{filled}/index?wait=true", index)
    archive = stream(engine, filled, state.manifests)
    assert archive is not None
    with serving(restored(engine, engine_argv, tmp_path, filled, state.apply(archive))) as second:
        assert second.points(filled) == engine.points(filled)
        assert set(second.result("GET", f"/collections/{filled}")["payload_schema"]) == {"k", "n"}
        # The log's position came along, or these would be dropped as older than what is there.
        upsert(second, filled, range(1000, 1001))
        engine_side = {"filter": {"must": [{"key": "n", "range": {"gte": 1000}}]}, "exact": True}
        assert second.result("POST", f"/collections/{filled}/points/count", engine_side)["count"] == 1
        changed = {"payload": {"n": 5000}, "points": [340]}
        second.result("POST", f"/collections/{filled}/points/payload?wait=true", changed)
        assert second.points(filled)[340]["payload"]["n"] == 5000


def test_files_level_left_in_starts_ready_and_empty(
    engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path
) -> None:
    """A restore in the wrong layout is swallowed in silence: ready, and no point left."""
    started = restored(engine, engine_argv, tmp_path, filled)
    started.kill()
    target = tmp_path / "storage/collections" / filled / "0"
    for name, content in full(engine, filled).files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    with running(engine_argv, tmp_path) as second:
        assert second.result("POST", f"/collections/{filled}/points/count", {"exact": True})["count"] == 0


def test_missing_segment_state_ends_the_start(
    engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path
) -> None:
    """Without a `segment.json` the engine exits with 101 and leaves the folder."""
    state = full(engine, filled)
    state.files = {name: content for name, content in state.files.items() if not name.endswith("segment.json")}
    started = restored(engine, engine_argv, tmp_path, filled, state)
    try:
        assert started.process.wait(20) == 101
    finally:
        started.kill()
    assert (tmp_path / "storage/collections" / filled / "config.json").exists()


def test_flipped_bit_goes_unnoticed(engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path) -> None:
    """A changed vector file is served as if it were right: only hashes protect a backup."""
    state = full(engine, filled)
    (name,) = (name for name in state.files if name.endswith("vector_storage/vectors/chunk_0.mmap"))
    content = bytearray(state.files[name])
    content[5] ^= 1
    state.files[name] = bytes(content)
    with serving(restored(engine, engine_argv, tmp_path, filled, state)) as second:
        found, right = second.points(filled), engine.points(filled)
        assert found.keys() == right.keys()
        assert found != right


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
    _optimizing(engine, collection)
    upsert(engine, collection, range(20))
    state = full(engine, collection)
    upsert(engine, collection, range(10, 2000))
    _wait_replaced(engine, collection, state)
    archive = stream(engine, collection, state.manifests)
    assert archive is not None
    merged = state.apply(archive)
    gone = state.manifests.keys() - merged.manifests.keys()
    assert not any(segment in name for name in merged.files for segment in gone)
    with serving(restored(engine, engine_argv, tmp_path, collection, merged)) as second:
        assert second.points(collection) == engine.points(collection)
