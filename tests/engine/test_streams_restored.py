"""What an engine makes of what streams carried, whole or damaged."""

from collections.abc import Sequence
from pathlib import Path

from tests.engine.streaming import full, restored, serving, stream, upsert
from tests.support.engines import Engine, running


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
