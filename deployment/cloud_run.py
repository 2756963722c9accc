"""A deployed service as Cloud Run tells of it, and the waiting for a change to be there.

Owns the address, the reading and the bound on waiting. Decides nothing: what is changed is the caller's matter.
"""

import time
from collections.abc import Callable
from typing import Any

from deployment.calls import Calls
from deployment.target import CannotCheckError

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


def service_url(calls: Calls) -> str:
    """Return the address of the service in Cloud Run's API."""
    return f"{_location(calls)}/services/{calls.target.service}"


def job_url(calls: Calls, name: str) -> str:
    """Return the address of a job in Cloud Run's API."""
    return f"{_location(calls)}/jobs/{name}"


def _location(calls: Calls) -> str:
    return f"{calls.hosts.run}/v2/projects/{calls.target.project}/locations/{calls.target.region}"


def service(calls: Calls) -> dict[str, Any]:
    """Return the service; CannotCheckError where Cloud Run knows no revision of it."""
    found: dict[str, Any] = calls.google("GET", service_url(calls))
    if "template" not in found or "latestCreatedRevision" not in found:
        raise CannotCheckError(f"Cloud Run knows no revision of it: {found}")
    return found


def change(calls: Calls, field: str, value: Any, done: Callable[[dict[str, Any]], bool]) -> bool:
    """Change one field of the service; return whether it was done within the patience of the calls."""
    calls.google("PATCH", f"{service_url(calls)}?updateMask={field}", {field: value})
    deadline = time.monotonic() + calls.patience_seconds
    pause = _FIRST_PAUSE
    while time.monotonic() < deadline:
        if done(service(calls)):
            return True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return False


def short(revision: str) -> str:
    """Return a revision's own name without the path before it."""
    return revision.rpartition("/")[2]
