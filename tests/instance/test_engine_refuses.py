import httpx
import pytest

from tests.support.instances import REAL_ENGINE, Fleet
from tests.support.workload import make

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
