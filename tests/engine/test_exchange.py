import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import EMBEDDED, Engine, running

VECTORS: dict[str, Any] = {
    "vectors": {
        "dense": {"size": 8, "distance": "Cosine"},
        "multi": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
    "shard_number": 2,
    "optimizers_config": {"indexing_threshold": 10},
}


@pytest.fixture(scope="module")
def qdrant() -> Sequence[str]:
    """Answer how to start the real engine; what is proved here needs both."""
    if not os.environ.get("QDRANT_BIN"):
        pytest.skip("QDRANT_BIN names no real Qdrant")
    return (os.environ["QDRANT_BIN"],)


def fill(engine: Engine, recorded: Path) -> dict[int | str, Any]:
    """Write the recorded points with an index; answer what the engine then holds."""
    engine.result("PUT", "/collections/c", VECTORS)
    index = {"field_name": "n", "field_schema": "integer"}
    engine.result("PUT", "/collections/c/index?wait=true", index)
    points = json.loads((recorded / "points" / "1-full.json").read_text())
    engine.result("PUT", "/collections/c/points?wait=true", {"points": points})
    changed = {"payload": {"z": [1, 2.5, None]}, "points": [0, 1, 2]}
    engine.result("POST", "/collections/c/points/payload?wait=true", changed)
    engine.result("POST", "/collections/c/points/delete?wait=true", {"points": [10, 11]})
    return engine.points("c")


def test_real_server_restores_a_snapshot_of_the_embedded_engine(
    qdrant: Sequence[str], recorded: Path, tmp_path: Path
) -> None:
    """Tar, layout, log and configuration are Qdrant's own, as the real server itself judges."""
    file = tmp_path / "file.snapshot"
    with running(EMBEDDED, tmp_path / "embedded") as engine:
        expected = fill(engine, recorded)
        made = engine.result("POST", "/collections/c/snapshots")
        file.write_bytes(engine.call("GET", f"/collections/c/snapshots/{made['name']}").raw)
    with running((*qdrant, "--snapshot", f"{file}:c"), tmp_path / "real") as real:
        assert real.points("c") == expected
        assert "n" in real.result("GET", "/collections/c")["payload_schema"]


@pytest.mark.parametrize("embedded_first", [True, False])
def test_engines_open_each_others_folder(
    qdrant: Sequence[str],
    recorded: Path,
    tmp_path: Path,
    embedded_first: bool,  # noqa: FBT001
) -> None:
    """What one engine wrote before it was killed the other serves, and may write on."""
    order = (EMBEDDED, qdrant) if embedded_first else (qdrant, EMBEDDED)
    with running(order[0], tmp_path) as first:
        expected = fill(first, recorded)
    with running(order[1], tmp_path) as second:
        assert second.points("c") == expected
        changed = {"payload": {"by": "second"}, "points": [399]}
        second.result("POST", "/collections/c/points/payload?wait=true", changed)
        assert second.points("c")[399]["payload"]["by"] == "second"
