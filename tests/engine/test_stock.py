import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import EMBEDDED, Engine, running


@pytest.fixture
def filled(engine: Engine, collection: str) -> str:
    """Answer a collection of 40 points on two shards, with an index."""
    body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 2}
    engine.result("PUT", f"/collections/{collection}", body)
    points = [{"id": number, "vector": [number, 0.5], "payload": {"n": number}} for number in range(40)]
    engine.result("PUT", f"/collections/{collection}/points?wait=true", {"points": points})
    index = {"field_name": "n", "field_schema": "integer"}
    engine.result("PUT", f"/collections/{collection}/index?wait=true", index)
    return collection


def snapshot(engine: Engine, collection: str) -> tuple[dict[str, Any], bytes]:
    """Make a stock snapshot; answer its description and content."""
    made = engine.result("POST", f"/collections/{collection}/snapshots")
    return made, engine.call("GET", f"/collections/{collection}/snapshots/{made['name']}").raw


def test_snapshot_is_what_its_description_says(engine: Engine, filled: str) -> None:
    """Size and checksum fit what is downloaded, the list names it, and deleting it empties the list."""
    made, content = snapshot(engine, filled)
    assert len(content) == made["size"]
    assert hashlib.sha256(content).hexdigest() == made["checksum"]
    path = f"/collections/{filled}/snapshots"
    assert [listed["name"] for listed in engine.result("GET", path)] == [made["name"]]
    assert engine.result("DELETE", f"{path}/{made['name']}") is True
    assert engine.result("GET", path) == []
    assert engine.call("GET", f"{path}/{made['name']}").status == 404


def test_snapshot_is_recovered_from_a_url(
    engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path
) -> None:
    """Another engine fetches the snapshot itself and serves equal points."""
    made, _ = snapshot(engine, filled)
    location = f"{engine.url}/collections/{filled}/snapshots/{made['name']}"
    with running(engine_argv, tmp_path) as second:
        body = {"location": location, "priority": "snapshot"}
        assert second.result("PUT", "/collections/copy/snapshots/recover", body) is True
        assert second.points("copy") == engine.points(filled)
        assert "n" in second.result("GET", "/collections/copy")["payload_schema"]


def test_unreachable_location_is_refused(engine: Engine) -> None:
    """A URL that nothing answers leaves no collection behind."""
    refused = engine.call("PUT", "/collections/none/snapshots/recover", {"location": "http://127.0.0.1:1/x"})
    assert refused.status in (400, 500)
    assert engine.call("GET", "/collections/none").status == 404


def test_snapshot_is_restored_at_start(engine: Engine, engine_argv: Sequence[str], filled: str, tmp_path: Path) -> None:
    """`--snapshot FILE:NAME` serves the collection under that name from the first answer on."""
    file = tmp_path / "file.snapshot"
    file.write_bytes(snapshot(engine, filled)[1])
    with running((*engine_argv, "--snapshot", f"{file}:again"), tmp_path) as second:
        assert second.points("again") == engine.points(filled)


def test_recorded_snapshot_is_restored_at_start(engine_argv: Sequence[str], recorded: Path, tmp_path: Path) -> None:
    """The stock snapshot of a real server gives every point as recorded."""
    file = recorded / "streams" / "stock.snapshot"
    points = json.loads((recorded / "points" / "3-after-optimizer.json").read_text())
    with running((*engine_argv, "--snapshot", f"{file}:mixed"), tmp_path) as engine:
        assert engine.points("mixed") == {point["id"]: point for point in points}


@pytest.mark.parametrize("size", [0, 1000, 30_000])
def test_cut_snapshot_ends_the_start(engine_argv: Sequence[str], recorded: Path, tmp_path: Path, size: int) -> None:
    """A file that is empty or cut inside a member: exit 101, and half a collection left lying."""
    file = tmp_path / "cut.snapshot"
    file.write_bytes((recorded / "streams" / "stock.snapshot").read_bytes()[:size])
    engine = Engine((*engine_argv, "--snapshot", f"{file}:c"), tmp_path, {})
    try:
        assert engine.process.wait(20) == 101
    finally:
        engine.kill()
    assert (tmp_path / "storage/collections/c.tmp").exists()


def test_launcher_runs_without_a_module_path(tmp_path: Path) -> None:
    """The program for `QDRANT_BIN` is one file that needs nothing but PATH."""
    launcher = Path(__file__).parents[2] / "local" / "engine" / "qdrant"
    path = f"{Path(EMBEDDED[0]).parent}:/usr/bin:/bin"
    with running((str(launcher),), tmp_path, PATH=path, PYTHONPATH="") as engine:
        assert engine.call("GET", "/").body["commit"] == "embedded"
