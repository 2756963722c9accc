import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import qdrant_edge as edge

from local.engine.vectors import vector_to_json
from tests.support.engines import EMBEDDED, running
from tests.support.streams import ShardState, place_collection

SHARDS = range(2)
Identity = int | UUID | str


def streams(recorded: Path, *steps: str) -> list[ShardState]:
    """Answer both shards as the recorded streams of `steps`, in order, leave them."""
    shards = []
    for shard in SHARDS:
        state = ShardState()
        for step in steps:
            state = state.apply((recorded / "streams" / f"{step}-shard{shard}.tar").read_bytes())
        shards.append(state)
    return shards


def expected_points(recorded: Path, step: str) -> dict[Identity, Any]:
    """Answer every point as the real server told it at a step, by id."""
    return {point["id"]: point for point in json.loads((recorded / "points" / f"{step}.json").read_text())}


def opened_points(folders: Iterable[Path]) -> dict[Identity, Any]:
    """Answer every point that the engine finds in shards, by id."""
    found = {}
    for folder in folders:
        shard = edge.EdgeShard.load(str(folder))
        records, following = shard.scroll(edge.ScrollRequest(limit=1000, with_payload=True, with_vector=True))
        assert following is None
        for record in records:
            vector = vector_to_json(record.vector)
            found[record.id] = {"id": record.id, "payload": record.payload, "vector": vector}
        shard.close()
    return found


STEPS = [("1-full", ["1-full"]), ("2-incremental", ["1-full", "2-incremental"])]


@pytest.mark.parametrize(("step", "steps"), STEPS)
def test_recorded_streams_restore_every_point(recorded: Path, tmp_path: Path, step: str, steps: list[str]) -> None:
    """Streams of a real server, merged and placed, open with every point exactly as recorded."""
    for number, state in enumerate(streams(recorded, *steps)):
        state.place(tmp_path / str(number))
    assert opened_points(tmp_path / str(number) for number in SHARDS) == expected_points(recorded, step)


def test_recorded_streams_restore_the_payload_indexes(recorded: Path, tmp_path: Path) -> None:
    """The index made between the streams is in the second one, on every point."""
    for number, state in enumerate(streams(recorded, "1-full", "2-incremental")):
        state.place(tmp_path / str(number))
        shard = edge.EdgeShard.load(str(tmp_path / str(number)))
        info = shard.info()
        assert set(info.payload_schema) == {"k", "n", "text"}
        assert info.payload_schema["k"].points == info.points_count
        shard.close()


def test_plain_stream_restores_like_the_one_with_manifests(recorded: Path, tmp_path: Path) -> None:
    """The stream without manifests carries the same data."""
    state = ShardState().apply((recorded / "streams" / "1-plain-shard0.tar").read_bytes())
    state.place(tmp_path / "0")
    everything = expected_points(recorded, "1-full")
    found = opened_points([tmp_path / "0"])
    assert len(found) == 218
    assert found == {identity: everything[identity] for identity in found}


def test_embedded_engine_serves_what_a_real_server_streamed(recorded: Path, tmp_path: Path) -> None:
    """The same files with the recorded collection's own beside them are served, schema and alias included."""
    storage = tmp_path / "storage"
    shards = streams(recorded, "1-full", "2-incremental")
    place_collection(recorded / "storage/collections/mixed", storage / "collections/mixed", shards)
    aliases = storage / "aliases" / "data.json"
    aliases.parent.mkdir()
    aliases.write_bytes((recorded / "storage/aliases/data.json").read_bytes())
    with running(EMBEDDED, tmp_path) as engine:
        assert engine.points("current") == expected_points(recorded, "2-incremental")
        assert set(engine.result("GET", "/collections/mixed")["payload_schema"]) == {"k", "n", "text"}
        changed = {"points": [{"id": 7, "vector": {}, "payload": {"new": True}}]}
        engine.result("PUT", "/collections/mixed/points?wait=true", changed)
        assert engine.points("mixed")[7]["payload"] == {"new": True}
