"""Which revision serves, and back to one that did.

Owns the traffic of a service. Rolling back does not touch the stack: it still declares the newest revision, and the
next deployment, which refreshes first, sends the traffic there again.
"""

from typing import Any, Final

from deployment import cloud_run
from deployment.calls import Calls

_PINNED: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"


class NotRolledBackError(Exception):
    """The revision does not serve; the message tells what was seen and what to do."""


def serving(calls: Calls) -> str:
    """Return the name of the revision that gets all requests."""
    return _serving(cloud_run.service(calls))


def roll_back(calls: Calls, revision: str) -> str:
    """Send all requests to a revision and say how it is; raise NotRolledBackError unless it serves in good health.

    The instance of that revision takes the lineage over as any newcomer does, so nothing that was acknowledged is
    lost; it refuses backups of a newer minor version of Qdrant than its own, which ends here with its log's name.
    """
    wanted = cloud_run.short(revision)
    traffic = [{"type": _PINNED, "revision": wanted, "percent": 100}]

    def there(service: dict[str, Any]) -> bool:
        settled = service.get("terminalCondition", {}).get("state") == "CONDITION_SUCCEEDED"
        return settled and not service.get("reconciling") and _serving(service) == wanted

    if not cloud_run.change(calls, "traffic", traffic, there):
        raise NotRolledBackError(
            f"{wanted} did not get the requests within {calls.patience_seconds:.0f} s; its log tells why. "
            "An older Qdrant refuses backups of a newer minor version: then go forward instead"
        )
    health = calls.service("GET", "/health")
    return f"{wanted} serves, {health.get('status')}, role {health.get('role')}"


def _serving(service: dict[str, Any]) -> str:
    newest = str(service.get("latestReadyRevision", ""))
    shares = [share for share in service.get("trafficStatuses", []) if share.get("percent") == 100]
    return cloud_run.short(shares[0].get("revision") or newest) if shares else cloud_run.short(newest)
