import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local.engine.routing import shard_of
from tests.support.engines import EMBEDDED, Engine, running

MIXED: dict[str, Any] = {
    "vectors": {
        "dense": {"size": 4, "distance": "Dot"},
        "multi": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
    "shard_number": 2,
}
UUID = "0194f3a0-7c1e-7d4e-9c63-2a2b0d1f4e55"


def test_acknowledged_writes_survive_sigkill(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """Points, payload changes, deletes, the index and the alias are there after a kill right behind them."""
    with running(engine_argv, tmp_path) as first:
        first.result("PUT", "/collections/c", MIXED)
        points = [
            {
                "id": number,
                "vector": {
                    "dense": [number, 0.0, 0.0, 1.0],
                    "multi": [[0.5, 0.25], [1.0, 2.0]],
                    "words": {"indices": [1, 7], "values": [0.5, 0.1]},
                },
                "payload": {"n": number},
            }
            for number in range(100)
        ]
        points.append({"id": UUID, "vector": {"dense": [1.0, 2.0, 3.0, 4.0]}, "payload": {"n": -1}})
        path = "/collections/c/points"
        first.result("PUT", f"{path}?wait=true", {"points": points})
        first.result("POST", f"{path}/payload?wait=true", {"payload": {"z": [1, None, {"a": 0.1}]}, "points": [5]})
        first.result("POST", f"{path}/delete?wait=true", {"filter": {"must": [{"key": "n", "range": {"lt": 3}}]}})
        index = {"field_name": "n", "field_schema": "integer"}
        first.result("PUT", "/collections/c/index?wait=true", index)
        alias = {"create_alias": {"collection_name": "c", "alias_name": "current"}}
        first.result("POST", "/collections/aliases", {"actions": [alias]})
        before = first.points("c")
        first.kill()
    with running(engine_argv, tmp_path) as second:
        assert len(before) == 97
        assert second.points("current") == before
        assert second.result("GET", "/collections/c")["payload_schema"]["n"]["data_type"] == "integer"


def test_operation_numbers_go_on_after_sigkill(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """The number of the last operation is told by telemetry, survives a kill and is never given twice."""
    with running(engine_argv, tmp_path) as first:
        first.result("PUT", "/collections/c", {"vectors": {"size": 1, "distance": "Dot"}})
        given = [_upsert(first, number) for number in range(5)]
        assert given == sorted(set(given))
        assert _last_operation(first) == given[-1]
        first.kill()
    with running(engine_argv, tmp_path) as second:
        assert _last_operation(second) == given[-1]
        assert _upsert(second, 5) > given[-1]


def _upsert(engine: Engine, number: int) -> int:
    """Write one point; answer the operation's number."""
    body = {"points": [{"id": number, "vector": [1.0]}]}
    return int(engine.result("PUT", "/collections/c/points?wait=true", body)["operation_id"])


def _last_operation(engine: Engine) -> int:
    """Answer what telemetry calls the last operation."""
    (collection,) = engine.result("GET", "/telemetry?details_level=3")["collections"]["collections"]
    return int(collection["shards"][0]["local"]["update_queue"]["op_num"])


def test_deleted_collection_stays_deleted(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """A dropped collection is gone after a restart, with its alias, and its name can be used again."""
    with running(engine_argv, tmp_path) as first:
        first.result("PUT", "/collections/c", MIXED)
        alias = {"create_alias": {"collection_name": "c", "alias_name": "current"}}
        first.result("POST", "/collections/aliases", {"actions": [alias]})
        assert first.result("DELETE", "/collections/c") is True
        first.kill()
    with running(engine_argv, tmp_path) as second:
        assert second.result("GET", "/collections") == {"collections": []}
        assert second.result("GET", "/aliases") == {"aliases": []}
        assert second.result("PUT", "/collections/c", MIXED) is True


def test_sigterm_ends_with_status_zero(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """Idle, the engine ends by itself within seconds of being asked."""
    with running(engine_argv, tmp_path) as engine:
        assert engine.terminate() == 0


def test_switch_makes_sigterm_slow(tmp_path: Path) -> None:
    """For tests of shutting down, the embedded engine can take as long as an indexing server."""
    with running(EMBEDDED, tmp_path, EMBEDDED_ENGINE_TERM_SECONDS="2") as engine:
        began = time.monotonic()
        assert engine.terminate() == 0
        assert time.monotonic() - began >= 2


def test_version_is_told_without_starting(engine_argv: Sequence[str]) -> None:
    """`--version` prints the name and the version and ends with 0."""
    told = subprocess.run([*engine_argv, "--version"], capture_output=True, text=True, timeout=20, check=True)
    assert re.fullmatch(r"qdrant \d+\.\d+\.\d+\n", told.stdout)


def test_switch_names_another_version(tmp_path: Path) -> None:
    """For tests of what may be restored under what, the embedded engine says any version."""
    with running(EMBEDDED, tmp_path, EMBEDDED_ENGINE_VERSION="1.21.0") as engine:
        assert engine.call("GET", "/").body["version"] == "1.21.0"


def test_port_in_use_ends_the_start(engine_argv: Sequence[str], tmp_path: Path) -> None:
    """An engine that cannot listen does not stay."""
    with running(engine_argv, tmp_path / "first") as first:
        ports = {
            "QDRANT__SERVICE__HTTP_PORT": str(first.http_port),
            "QDRANT__SERVICE__GRPC_PORT": str(first.grpc_port),
        }
        second = Engine(engine_argv, tmp_path / "second", ports)
        try:
            assert second.process.wait(20) != 0
        finally:
            second.kill()


def test_wrong_setting_is_told_in_one_line(tmp_path: Path) -> None:
    """A port that is no number ends the embedded engine with a sentence, not a trace."""
    engine = Engine(EMBEDDED, tmp_path, {"QDRANT__SERVICE__HTTP_PORT": "http"})
    assert engine.process.wait(20) == 2
    assert "QDRANT__SERVICE__HTTP_PORT" in engine.log.read_text()
    assert "Traceback" not in engine.log.read_text()


@pytest.mark.parametrize("point", [0, 1, 2**63, UUID])
def test_single_shard_holds_everything(point: int | str) -> None:
    """With one shard there is nothing to choose."""
    assert shard_of(point, 1) == 0
