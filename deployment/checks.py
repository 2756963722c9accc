"""The checks, each a question a person would ask after a deployment.

A check returns what it saw, or raises FailedCheckError with what is wrong and what to do. The last one writes
a point, forces a new revision and reads the point back; it removes what it made. Owns no output form.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from deployment import cloud_run
from deployment.calls import Calls
from deployment.target import CannotCheckError

_WRITERS: Final = (
    "objectCreator",
    "objectAdmin",
    "objectUser",
    "legacyBucketWriter",
    "legacyBucketOwner",
    "admin",
)
_LABEL: Final = "verified-by"
_NOT_ENDED: Final = ("EXECUTION_RUNNING", "EXECUTION_PENDING")


class FailedCheckError(Exception):
    """A check did not pass; the message tells what was seen and what to look at."""


@dataclass(frozen=True)
class Check:
    """A question and how it is answered."""

    title: str
    answer: Callable[[Calls], str]


def service_ready(calls: Calls) -> str:
    """Say which revision is ready with which image."""
    service = cloud_run.service(calls)
    condition = service.get("terminalCondition", {})
    if condition.get("state") != "CONDITION_SUCCEEDED":
        raise FailedCheckError(f"{condition.get('message') or condition}; the revision's log tells more")
    if service.get("latestReadyRevision") != service.get("latestCreatedRevision"):
        raise FailedCheckError(f"the newest revision is not ready: {service.get('latestCreatedRevision')}")
    image = service["template"]["containers"][0]["image"]
    if image != calls.target.image:
        raise FailedCheckError(f"runs {image}, the stack deployed {calls.target.image}")
    return cloud_run.short(service["latestReadyRevision"])


def healthy(calls: Calls) -> str:
    """Say the health and the role of the instance."""
    health = calls.service("GET", "/health")
    return f"{health.get('status')}, role {health.get('role')}"


def logs_visible(calls: Calls) -> str:
    """Say how many structured log lines the newest page has."""
    target = calls.target
    query = {
        "resourceNames": [f"projects/{target.project}"],
        "filter": (
            f'resource.type="cloud_run_revision" AND resource.labels.service_name="{target.service}" '
            "AND jsonPayload.event:*"
        ),
        "orderBy": "timestamp desc",
        "pageSize": 50,
    }
    entries = calls.google("POST", f"{calls.hosts.logging}/v2/entries:list", query).get("entries", [])
    if not entries:
        raise FailedCheckError("Cloud Logging has no structured line of this service; is an exclusion filter set?")
    return f"{len(entries)} events, newest {entries[0]['jsonPayload']['event']}"


def as_declared(calls: Calls) -> str:
    """Say that the cloud is what the program declares."""
    command = ["pulumi", "preview", "--stack", calls.target.stack, "--refresh", "--expect-no-changes"]
    try:
        calls.run([*command, "--non-interactive", "--color", "never"])
    except CannotCheckError as problem:
        raise FailedCheckError(f"{problem}"[-400:]) from None
    return "no drift"


def bucket_guarded(calls: Calls) -> str:
    """Say who can write into the bucket."""
    target = calls.target
    url = f"{calls.hosts.storage}/storage/v1/b/{target.bucket}/iam?optionsRequestedPolicyVersion=3"
    writers: set[str] = set()
    for binding in calls.google("GET", url).get("bindings", []):
        if binding["role"].rpartition(".")[2] in _WRITERS and "condition" not in binding:
            writers |= set(binding["members"])
    own = f"serviceAccount:{target.runtime_account}"
    # A project's own owners and editors are on every bucket from its creation; they own the project anyway.
    others = sorted(member for member in writers if member != own and not member.startswith("project"))
    if own not in writers:
        raise FailedCheckError(f"{target.runtime_account} cannot add objects; run pulumi up")
    if others:
        raise FailedCheckError(f"also writable by {', '.join(others)}; remove their grants")
    return f"only {target.runtime_account}"


def jobs_well(calls: Calls) -> str:
    """Say how the last run of each job ended; one that never ran yet is said to be so, and no failure."""
    seen, failed = [], []
    for name in calls.target.jobs:
        job = calls.google("GET", cloud_run.job_url(calls, name))
        condition = job.get("terminalCondition", {})
        image = job["template"]["template"]["containers"][0]["image"]
        last = job.get("latestCreatedExecution") or {}
        ended = last.get("completionStatus", "")
        if condition.get("state") != "CONDITION_SUCCEEDED":
            failed.append(f"{name} is not ready: {condition.get('message') or condition}")
        elif image != calls.target.image:
            failed.append(f"{name} runs {image}, the stack deployed {calls.target.image}")
        elif not last:
            seen.append(f"{name} has not run yet")
        elif ended in _NOT_ENDED:
            seen.append(f"{name} is running")
        elif ended != "EXECUTION_SUCCEEDED":
            run = str(last.get("name")).rpartition("/")[2]
            failed.append(f"{name} last ended with {ended} ({run}); its log tells why")
        else:
            seen.append(f"{name} {last.get('completionTime', 'done')}")
    if failed:
        raise FailedCheckError("; ".join(failed))
    return ", ".join(seen)


def backup_works(calls: Calls) -> str:
    """Say which backup the instance has just committed to the bucket."""
    answer = calls.service("POST", "/api/snapshot", {})
    failed = [target for target in answer.get("targets", []) if target.get("status") == "failed"]
    if failed:
        raise FailedCheckError(f"the backup failed for {failed}")
    return f"backup {answer.get('backup')}"


def write_survives(calls: Calls) -> str:
    """Say how long a forced new revision took, after which a point written before was read back."""
    mark = uuid4().hex[:12]
    collection = f"/collections/verify-deployment-{mark}"
    calls.service("PUT", collection, {"vectors": {"size": 2, "distance": "Dot"}})
    try:
        point = {"id": 1, "vector": [1.0, 2.0], "payload": {"mark": mark}}
        calls.service("PUT", f"{collection}/points?wait=true", {"points": [point]})
        started = time.monotonic()
        _force_revision(calls, {_LABEL: mark})
        seconds = time.monotonic() - started
        read = calls.service("GET", f"{collection}/points/1")["result"]
        if read["payload"] != point["payload"]:
            raise FailedCheckError(f"the point came back as {read}")
    finally:
        calls.service("DELETE", collection)
        _force_revision(calls, {})
    return f"there after a new revision, {seconds:.0f} s"


def _force_revision(calls: Calls, extra: Mapping[str, str]) -> None:
    """Make a new revision by a label on the template, and wait until it serves."""
    service = cloud_run.service(calls)
    before = service["latestCreatedRevision"]
    labels = {key: value for key, value in service["template"].get("labels", {}).items() if key != _LABEL}
    template = {**service["template"], "labels": {**labels, **extra}}
    template.pop("revision", None)

    def ready(changed: dict[str, Any]) -> bool:
        newest = changed["latestCreatedRevision"]
        return newest not in (before, None) and changed.get("latestReadyRevision") == newest

    if not cloud_run.change(calls, "template", template, ready):
        raise FailedCheckError(
            f"the new revision was not ready within {calls.patience_seconds:.0f} s; its log tells why"
        )


CHECKS: Final = (
    Check("service ready", service_ready),
    Check("healthy", healthy),
    Check("logs visible", logs_visible),
    Check("resources as declared", as_declared),
    Check("bucket writable by the service alone", bucket_guarded),
    Check("jobs are there and last ended well", jobs_well),
    Check("backup reaches the bucket", backup_works),
    Check("a write survives a new revision", write_survives),
)
