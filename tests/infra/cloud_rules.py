"""What Google Cloud refuses although its types allow it, from its documentation and not from the program.

Each rule looks at one resource as a provider sees it and returns what the service would answer.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi.runtime.rpc import UNKNOWN

_MEMORY: Final = {"1": (0.5, 4), "2": (0.5, 8), "4": (2, 16), "6": (4, 24), "8": (4, 32)}
_CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "ingress": frozenset(
        {"INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"}
    ),
    "egress": frozenset({"ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"}),
}


def refusals(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return why the service would refuse a resource."""
    rule = _RULES.get(token)
    return rule(inputs) if rule else []


def _service(service: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Run refuses in a service."""
    template = service["template"]
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,47}[a-z0-9]", service["name"]):
        found.append(f"name {service['name']!r}: up to 49 small letters, digits and dashes")
    if service.get("ingress") not in _CHOICES["ingress"]:
        found.append(f"ingress {service.get('ingress')!r}")
    if len(template["containers"]) != 1:
        found.append("one container with a port is expected")
    access = template.get("vpcAccess")
    if access and access["egress"] not in _CHOICES["egress"]:
        found.append(f"egress {access['egress']!r}")
    if template.get("volumes") and template.get("executionEnvironment") != "EXECUTION_ENVIRONMENT_GEN2":
        found.append("volumes need the second generation")
    if not 1 <= _seconds(template["timeout"]) <= 3600:
        found.append("timeout: 1 to 3600 s")
    if not 1 <= template["maxInstanceRequestConcurrency"] <= 1000:
        found.append("concurrency: 1 to 1000")
    return found + [fault for container in template["containers"] for fault in _serving_container(container)]


def _run_job(job: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Run refuses in a job: at most 10 retries, a week for each task, nothing that serves."""
    task = job["template"]["template"]
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,47}[a-z0-9]", job["name"]):
        found.append(f"name {job['name']!r}: up to 49 small letters, digits and dashes")
    if not re.fullmatch(r"[1-9]\d*s", task["timeout"]) or _seconds(task["timeout"]) > 7 * 86400:
        found.append(f"task timeout {task['timeout']!r}: whole seconds with s, up to 168 h")
    if not 0 <= task["maxRetries"] <= 10:
        found.append("max retries: 0 to 10")
    if not 1 <= job["template"].get("taskCount", 1) <= 10_000:
        found.append("task count: 1 to 10,000")
    if len(task["containers"]) != 1:
        found.append("one container is expected")
    if job.get("deletionProtection") is not False:
        found.append("left out, deletionProtection is true, and destroy stops at the job")
    access = task.get("vpcAccess")
    if access and access["egress"] not in _CHOICES["egress"]:
        found.append(f"egress {access['egress']!r}")
    for container in task["containers"]:
        found += [f"a job's container has no {what}" for what in ("ports", "startupProbe") if container.get(what)]
        found += _container(container, "scratch" if task.get("volumes") else None)
    return found


def _serving_container(container: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Run refuses in a container that serves."""
    found = _container(container, "storage")
    probe = container["startupProbe"]
    if probe["failureThreshold"] * probe["periodSeconds"] > 240 or probe["timeoutSeconds"] > probe["periodSeconds"]:
        found.append("start-up probe: at most 240 s in all, each shorter than the period")
    return found


def _container(container: Mapping[str, Any], volume: str | None) -> list[str]:
    """Return what Cloud Run refuses in any container; `volume` is what has to be mounted."""
    found = []
    limits = container["resources"]["limits"]
    low, high = _MEMORY.get(limits["cpu"], (1, 0))
    if not low <= _gibibytes(limits["memory"]) <= high:
        found.append(f"{limits['cpu']} CPU with {limits['memory']}")
    if container["image"] != UNKNOWN and "@sha256:" not in container["image"]:
        found.append(f"image {container['image']!r} is not a digest")
    names = [env["name"] for env in container["envs"]]
    found += [f"{name} is reserved" for name in ("PORT", "K_SERVICE", "CLOUD_RUN_JOB") if name in names]
    found += [f"{env['name']} is twice there" for env in container["envs"] if names.count(env["name"]) > 1]
    for env in container["envs"]:
        if ("value" in env) == ("valueSource" in env):
            found.append(f"{env['name']} has neither or both of value and valueSource")
    mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
    return found if mounted == ({volume} if volume else set()) else [*found, f"mounts {mounted}"]


def _account(account: Mapping[str, Any]) -> list[str]:
    """Return what IAM refuses in an account."""
    good = re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", account["accountId"])
    return [] if good else [f"account {account['accountId']!r}: 6 to 30 characters"]


def _bucket(bucket: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Storage refuses in a bucket, or answers otherwise than it was told."""
    found = []
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket["name"]) or "goog" in bucket["name"]:
        found.append(f"bucket name {bucket['name']!r}")
    days = bucket["softDeletePolicy"]["retentionDurationSeconds"] / 86400
    if days != 0 and not 7 <= days <= 90:
        found.append("soft delete: 0, or 7 to 90 days")
    if bucket["location"] != bucket["location"].upper():
        found.append("the location comes back in upper case and would differ forever")
    return found


def _grant(grant: Mapping[str, Any]) -> list[str]:
    """Return what IAM refuses in a grant."""
    condition = grant.get("condition")
    if condition and "resource.name" not in condition["expression"]:
        return ["a condition that looks at nothing"]
    return [] if grant["member"] == UNKNOWN or ":" in grant["member"] else [f"member {grant['member']!r}"]


def _job(job: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Scheduler refuses in a job, and what it would keep in clear."""
    found = []
    if not 15 <= _seconds(job["attemptDeadline"]) <= 1800:
        found.append("attempt deadline: 15 s to 30 min")
    if not 0 <= job["retryConfig"]["retryCount"] <= 5:
        found.append("retry count: 0 to 5")
    target = job["httpTarget"]
    if target.get("headers"):
        found.append("headers are kept in clear")
    if ("oidcToken" in target) == ("oauthToken" in target):
        found.append("one token, of an account of one's own, is expected")
    # Google's APIs refuse ID tokens, and a service of one's own refuses access tokens.
    if target["uri"] != UNKNOWN and ("oauthToken" in target) != (".googleapis.com/" in target["uri"]):
        found.append(f"the wrong kind of token for {target['uri']}")
    if target["httpMethod"] != "POST":
        found.append("both what asks for a backup and what starts a job is a POST")
    return found


def _pool(pool: Mapping[str, Any]) -> list[str]:
    """Return what IAM refuses in a pool of identities."""
    identifier = pool["workloadIdentityPoolId"]
    good = re.fullmatch(r"[a-z0-9-]{4,32}", identifier) and not identifier.startswith("gcp-")
    return [] if good else [f"pool id {identifier!r}"]


def _pool_provider(provider: Mapping[str, Any]) -> list[str]:
    """Return what IAM refuses in a provider of identities."""
    mapping = provider["attributeMapping"]
    found = [f"attribute {key!r}" for key in mapping if not re.fullmatch(r"google\.subject|attribute\.[a-z0-9_]+", key)]
    if "google.subject" not in mapping:
        found.append("google.subject has to be mapped")
    # GitHub's issuer signs for everybody: without a condition IAM answers so.
    if not provider.get("attributeCondition"):
        found.append("the attribute condition must reference one of the provider's claims")
    return found


def _key(key: Mapping[str, Any]) -> list[str]:
    """Return what Cloud KMS refuses in a key."""
    return [] if _seconds(key["rotationPeriod"]) >= 86400 else ["rotation: a day or longer"]


def _role(role: Mapping[str, Any]) -> list[str]:
    """Return what IAM refuses in a custom role."""
    return [] if re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", role["roleId"]) else [f"role id {role['roleId']!r}"]


def _policy(policy: Mapping[str, Any]) -> list[str]:
    """Return what Cloud Monitoring refuses in an alert policy."""
    logs = [c for c in policy["conditions"] if "conditionMatchedLog" in c]
    if logs and (len(policy["conditions"]) > 1 or "notificationRateLimit" not in policy["alertStrategy"]):
        return ["a log condition stands alone and needs a notification rate limit"]
    found = []
    for condition in policy["conditions"]:
        absence = condition.get("conditionAbsent", {})
        if absence and _seconds(absence["duration"]) > 23.5 * 3600:
            found.append("absence: at most 23.5 hours")
        asked = condition.get("conditionPrometheusQueryLanguage", {})
        if asked and (
            _seconds(asked["evaluationInterval"]) % 30 or asked["query"].count("(") != asked["query"].count(")")
        ):
            found.append("a query is asked every multiple of 30 s, and its brackets match")
        if any(int(hours) > 2 * 365 * 24 for hours in re.findall(r"\[(\d+)h\]", asked.get("query", ""))):
            found.append("a query looks back two years at most")
    return found


def _dashboard(dashboard: Mapping[str, Any]) -> list[str]:
    """Return what would not be seen on a dashboard."""
    tiles = json.loads(dashboard["dashboardJson"])["mosaicLayout"]["tiles"]
    places = [(tile["xPos"], tile["yPos"]) for tile in tiles]
    return [] if len(set(places)) == len(tiles) else ["tiles cover each other"]


def _seconds(duration: str) -> int:
    """Return the seconds of a duration."""
    return int(duration.removesuffix("s"))


def _gibibytes(quantity: str) -> float:
    """Return the GiB of a quantity."""
    return int(quantity[:-2]) / (1 if quantity.endswith("Gi") else 1024)


_RULES: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "gcp:cloudrunv2/service:Service": _service,
    "gcp:cloudrunv2/job:Job": _run_job,
    "gcp:serviceaccount/account:Account": _account,
    "gcp:storage/bucket:Bucket": _bucket,
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": _pool,
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": _pool_provider,
    "gcp:kms/cryptoKey:CryptoKey": _key,
    "gcp:storage/bucketIAMMember:BucketIAMMember": _grant,
    "gcp:cloudscheduler/job:Job": _job,
    "gcp:projects/iAMCustomRole:IAMCustomRole": _role,
    "gcp:monitoring/alertPolicy:AlertPolicy": _policy,
    "gcp:monitoring/dashboard:Dashboard": _dashboard,
}
