import json
from collections.abc import Iterator
from typing import Any

import pytest

from deployment.calls import Calls
from deployment.checks import CHECKS
from deployment.deliver import verified
from deployment.target import CannotCheckError, Target, run_command
from tests.infra.fake_google import FakeGoogle, google
from tests.infra.recorder import deploy
from tests.infra.stacks import DEV

SERVICE = "/v2/projects/acme-search/locations/europe-west1/services/qdrant-dev"
BUCKET = "/storage/v1/b/backups/iam"
OWN = "serviceAccount:qdrant-dev-runtime@acme-search.iam.gserviceaccount.com"
FAULTY = {
    "terminalCondition": {"message": "probe failed"},
    "latestCreatedRevision": "r2",
    "latestReadyRevision": "r1",
    "template": {"containers": [{"image": "i"}]},
}
JOB = "/v2/projects/acme-search/locations/europe-west1/jobs/qdrant-dev-verify"
JOBS = "jobs are there and last ended well"
READY = {"state": "CONDITION_SUCCEEDED"}
OTHER_IMAGE = {"template": {"containers": [{"image": "r/qdrant@sha256:other"}]}}
CREATOR = "roles/storage.objectCreator"


@pytest.fixture
def fake() -> Iterator[FakeGoogle]:
    """Serve a deployment in good order."""
    with google() as served:
        yield served


def results(fake: FakeGoogle) -> dict[str, tuple[bool, str]]:
    """Run every check against the fake."""
    target = Target.of_stack("dev", fake.command)
    calls = Calls(target, fake.command, fake.hosts, patience_seconds=1)
    return {result.title: (result.passed, result.seen) for result in verified(calls)}


def test_a_deployment_in_good_order_passes_every_check(fake: FakeGoogle) -> None:
    """All checks pass, each with what it saw, and every call was admitted."""
    found = results(fake)

    assert [title for title, (passed, _) in found.items() if not passed] == []
    assert len(found) == len(CHECKS)
    assert fake.refused == []
    assert found["healthy"] == (True, "ok, role writer")
    assert found[JOBS][1] == "qdrant-dev-verify 2026-11-26T03:04:05Z, qdrant-dev-prune has not run yet"


def test_the_checks_leave_the_service_as_it_was(fake: FakeGoogle) -> None:
    """The label that forced a revision is gone afterwards."""
    before = {**fake.template, "labels": {}}
    results(fake)

    assert fake.revisions == 3
    assert fake.template == before


FAULTS = [
    (SERVICE, 200, FAULTY, "service ready", "probe failed"),
    (SERVICE, 200, {}, "service ready", "no revision"),
    (SERVICE, 403, {}, "service ready", "403"),
    ("/health", 503, {"status": "restoring"}, "healthy", "restoring"),
    ("/v2/entries:list", 200, {}, "logs visible", "exclusion filter"),
    (JOB, 404, {}, JOBS, "404"),
    (JOB, 200, {"terminalCondition": {"message": "no such image"}, "template": OTHER_IMAGE}, JOBS, "no such image"),
    (JOB, 200, {"terminalCondition": READY, "template": OTHER_IMAGE}, JOBS, "sha256:other"),
    (BUCKET, 200, {"bindings": []}, "bucket writable by the service alone", "cannot add objects"),
    (
        BUCKET,
        200,
        {"bindings": [{"role": CREATOR, "members": [OWN, "user:eve@example.com"]}]},
        "bucket writable by the service alone",
        "eve@example.com",
    ),
    (
        "/api/snapshot",
        200,
        {"targets": [{"collection": "docs", "status": "failed"}]},
        "backup reaches the bucket",
        "docs",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[3]}: {fault[4]}")
def test_a_fault_fails_its_check_and_no_other_is_skipped(
    fake: FakeGoogle, fault: tuple[str, int, dict[str, Any], str, str]
) -> None:
    """Each fault is found by its check, told with its reason, and the other checks still run."""
    path, status, answer, title, told = fault
    fake.wrong[path] = (status, answer)
    found = results(fake)

    assert found[title][0] is False
    assert told in found[title][1]
    assert len(found) == len(CHECKS)


@pytest.mark.parametrize("status", ["EXECUTION_FAILED", "EXECUTION_CANCELLED", ""])
def test_a_job_whose_last_run_did_not_end_well_is_found(fake: FakeGoogle, status: str) -> None:
    """The check fails with the job's name and the run whose log tells why; whatever is not a success is none."""
    fake.executions["qdrant-dev-prune"] = {"name": "p/jobs/qdrant-dev-prune/executions/x7", "completionStatus": status}

    assert results(fake)[JOBS] == (False, f"qdrant-dev-prune last ended with {status} (x7); its log tells why")


def test_a_job_that_is_running_is_no_failure(fake: FakeGoogle) -> None:
    """What has not ended is told as running."""
    fake.executions["qdrant-dev-prune"] = {"completionStatus": "EXECUTION_RUNNING"}

    assert "qdrant-dev-prune is running" in results(fake)[JOBS][1]


def test_a_write_that_is_lost_is_found(fake: FakeGoogle) -> None:
    """When the point is gone after a new revision, the last check fails."""
    fake.loses_writes = True

    assert results(fake)["a write survives a new revision"][0] is False


def test_a_stack_that_was_not_deployed_says_what_to_do() -> None:
    """Missing outputs are named with the command that makes them."""
    with pytest.raises(CannotCheckError, match="pulumi up -s dev"):
        Target.of_stack("dev", lambda _command: "{}")


def test_a_missing_command_line_says_what_to_do() -> None:
    """A program that is not installed is named."""
    with pytest.raises(CannotCheckError, match="no-such-program is not on PATH"):
        run_command(["no-such-program"])


def test_a_stack_has_every_output_that_the_checks_read() -> None:
    """What the checks need is what the program exports."""
    recorder = deploy(DEV)

    target = Target.of_stack("dev", lambda _command: json.dumps(recorder.outputs))
    assert target.runtime_account == "qdrant-dev-runtime@acme-search.iam.gserviceaccount.com"
    assert (target.private, target.key_secret) == (True, "qdrant-dev-api-key")
    assert target.jobs == ("qdrant-dev-verify", "qdrant-dev-prune")
