import httpx
import pytest

from tests.support.instances import REAL_ENGINE, Fleet, eventually
from tests.support.workload import make, numbers

# Qdrant takes this name, and then cannot name its own temporary files after it: it streams no such shard. The gate
# refuses it; one that is there all the same was made behind it.
LONG = "n" * 230


@pytest.mark.skipif(REAL_ENGINE is None, reason="only Qdrant itself has files it cannot name (set QDRANT_BIN)")
def test_a_stream_that_the_engine_refuses_is_a_failed_backup_and_no_end(fleet: Fleet) -> None:
    """The failure is told with the engine's reason, again and again, while the instance serves; nothing is 'saved'."""
    instance = fleet.start()
    schema = {"vectors": {"size": 2, "distance": "Dot"}}
    engine = f"http://127.0.0.1:{instance.settings['QDRANT_HTTP_PORT']}"
    assert httpx.put(f"{engine}/collections/{LONG}", json=schema, timeout=10).status_code == 200
    make(instance, "other")

    line = instance.event("backup.failed", after=1)

    assert "refused to stream" in line["error"]
    assert instance.events("serve.failed") == []
    assert instance.health()["role"] == "writer"
    assert instance.health()["backup"]["unsaved_writes"] > 0


@pytest.mark.skipif(REAL_ENGINE is None, reason="only Qdrant itself has a strict mode (set QDRANT_BIN)")
def test_limits_do_not_refuse_what_they_had_let_through(fleet: Fleet) -> None:
    """So many points, as counted now and then: a start does again what was taken, and keeps the limit."""
    settings = {"BACKUP_MAX_AGE_SECONDS": "3600", "BACKUP_QUIET_SECONDS": "1200"}
    instance = fleet.start(**settings)
    strict = {"enabled": True, "max_points_count": 10}
    schema = {"vectors": {"size": 2, "distance": "Dot"}, "strict_mode_config": strict}
    instance.result("PUT", "/collections/strict", schema)

    def is_full(first: int) -> bool:
        """Write points until the collection takes no more, or has taken a hundred."""
        path, points = "/collections/strict/points?wait=true", range(first, first + 100)
        bodies = ({"points": [{"id": number, "vector": [1, 1]}]} for number in points)
        return any(instance.ask("PUT", path, body).status_code == 400 for body in bodies)

    assert is_full(0)
    instance.save()
    everything = {"filter": {"must_not": [{"has_id": [1, 2]}]}}
    instance.result("POST", "/collections/strict/points/delete?wait=true", everything)
    eventually(lambda: is_full(100) and max(numbers(instance, "strict")) > 100, 60, "there is room again, and none")
    held = numbers(instance, "strict")
    instance.kill()
    instance = fleet.start(**settings)

    assert numbers(instance, "strict") == held
    assert instance.result("GET", "/collections/strict")["config"]["strict_mode_config"] == strict
