"""What a running instance says of itself: /health, /api/metrics, and lines that name their request."""

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from runtime.trace import TRACE_KEY
from tests.support.instances import Fleet, Instance, eventually
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.workload import make, of, put_numbers

UNSAVED = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60"}
POINT = {"points": [{"id": 99, "vector": [1, 1]}]}
TRACE = "0123456789abcdef0123456789abcdef"


def metrics(instance: Instance) -> dict[str, float]:
    """Return every sample by its name, with its labels' values where it has some."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{instance.agent}/api/metrics", timeout=10).text):
        for sample in family.samples:
            found["/".join((sample.name, *sample.labels.values()))] = sample.value
    return found


def test_health_and_metrics_tell_the_same_story_as_what_was_done(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """A write, a save, a failure by its kind, a refusal, a restore: each is seen in both, in figures that are right."""
    first = strict_fleet.start(**UNSAVED)
    empty = first.health()
    assert (empty["status"], empty["role"], empty["restore"]["backup"]) == ("ok", "writer", None)
    make(first, "c")
    put_numbers(first, "c", range(10))
    eventually(lambda: metrics(first)["qdrant_backup_age_seconds"] > 0.1, 10, "an unsaved write grows old")
    told, unsaved = metrics(first), first.health()["backup"]
    assert told["qdrant_backup_unsaved_writes"] == unsaved["unsaved_writes"] == 2
    assert told["qdrant_backup_age_target_seconds"] == unsaved["target_seconds"] == 60
    assert "qdrant_backup_last_commit_timestamp_seconds" not in told
    assert told["qdrant_journal_records_total"] == 2

    strict.plan = lambda asked: Wire.UNAVAILABLE if b"packs/" in asked.body[:1000] + str(asked.query).encode() else None
    assert httpx.post(f"{first.agent}/api/snapshot", timeout=60).status_code == 503
    failed = metrics(first)
    assert sum(value for name, value in failed.items() if name.startswith("qdrant_backup_failures_total/")) >= 1
    assert first.health()["backup"]["last_error"]
    strict.plan = lambda _: None

    before = time.time()
    saved = first.save()
    told, health = metrics(first), first.health()
    assert told["qdrant_backup_unsaved_writes"] == health["backup"]["unsaved_writes"] == 0
    assert told["qdrant_backup_age_seconds"] == 0
    assert before - 1 < told["qdrant_backup_last_commit_timestamp_seconds"] < time.time() + 1
    assert told["qdrant_backup_commits_total"] >= 1
    assert told["qdrant_backup_packed_bytes_total"] >= told["qdrant_backup_streamed_bytes_total"] * 0.1 > 0
    assert told["qdrant_backup_seconds_total"] >= told["qdrant_backup_held_seconds_total"] > 0
    assert (told["qdrant_role/writer"], told["qdrant_role/standby"], told["qdrant_lease_held"]) == (1, 0, 1)
    assert told["qdrant_lease_epoch"] == health["epoch"] == 1
    assert str(saved["backup"]) in health["backup"]["newest"]
    assert health["status"] == "ok"

    second = strict_fleet.start(**UNSAVED)
    first.wait_for("standby")
    told, restored = metrics(second), second.health()["restore"]
    assert restored["backup"] == first.health()["backup"]["newest"]
    assert [value for name, value in told.items() if name.startswith(f"qdrant_restored/{restored['backup']}/")] == [1]
    assert told["qdrant_restored_points"] == restored["points"] == 10
    assert told["qdrant_restored_bytes"] == restored["bytes"] > 0
    assert told["qdrant_restore_seconds"] > 0
    assert told["qdrant_restore_damaged"] == 0
    assert told["qdrant_backups"] == told["qdrant_backups_unverified"] >= 1
    assert 0 < told["qdrant_container_memory_limit_bytes"] == second.health()["memory"]["limit"]
    assert second.health()["engine"]["version"].count(".") == 2
    assert (metrics(first)["qdrant_lease_held"], metrics(first)["qdrant_role/standby"]) == (0, 1)
    reader = strict_fleet.start(role="standby", INSTANCE_ROLE="reader")
    assert reader.ask("PUT", of("c", "points"), POINT).status_code == 503
    assert metrics(reader)["qdrant_writes_refused_total"] == reader.health()["writes"]["refused"] == 1


def test_a_request_is_found_again_by_its_id_and_trace_in_every_line_about_it(fleet: Fleet) -> None:
    """From the edge to the agent's log, and in the edge's own line when the engine is gone; the answer names the id."""
    instance = fleet.start(QDRANT_API_KEY="the-key", GOOGLE_CLOUD_PROJECT="a-project")
    headers = {"x-request-id": "my-request-1", "x-cloud-trace-context": f"{TRACE}/1;o=1"}
    answer = instance.ask("POST", "/api/snapshot", headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (401, "my-request-1")
    line = instance.event("access.denied")
    assert line["request_id"] == "my-request-1"
    assert line[TRACE_KEY] == f"projects/a-project/traces/{TRACE}"
    instance.children()["engine"].suspend()
    instance.children()["engine"].kill()
    headers["x-request-id"] = "my-request-2"
    gone = eventually(lambda: _failed(instance, headers), 20, "a read finds no engine")
    assert gone.headers["x-request-id"] == "my-request-2"
    line = instance.event("edge.request_failed")
    assert line["request_id"] == "my-request-2"
    assert line[TRACE_KEY] == f"projects/a-project/traces/{TRACE}"


def _failed(instance: Instance, headers: dict[str, str]) -> httpx.Response | None:
    """Return the answer to a read if it is a failure."""
    answer = instance.ask("GET", "/collections", headers=headers)
    return answer if answer.status_code == 503 else None
