"""What a shard's stream holds, whole and as an increment."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from tests.engine.streaming import full, restored, serving, stream, upsert
from tests.support.engines import Engine
from tests.support.streams import ShardState, names


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
