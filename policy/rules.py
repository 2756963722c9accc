"""What no stack of this project may declare, whatever its configuration.

Owns the rules as pure functions over a resource's type, its properties and its protection; standard library
only. `policy/__main__.py` serves them to Pulumi, the project's tests run them over every captured stack.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_EVERYBODY: Final = ("allUsers", "allAuthenticatedUsers")
_PRIMITIVE: Final = ("roles/owner", "roles/editor", "roles/viewer")
_LABELS: Final = ("app", "environment", "managed-by", "stack")
_LABELLED: Final[Mapping[str, str]] = {
    "gcp:storage/bucket:Bucket": "labels",
    "gcp:kms/cryptoKey:CryptoKey": "labels",
    "gcp:cloudrunv2/service:Service": "labels",
    "gcp:cloudrunv2/job:Job": "labels",
    "gcp:secretmanager/secret:Secret": "labels",
    "gcp:artifactregistry/repository:Repository": "labels",
    "gcp:monitoring/alertPolicy:AlertPolicy": "userLabels",
    "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig": "userLabels",
    "gcp:monitoring/notificationChannel:NotificationChannel": "userLabels",
}
_KEEPS: Final = ("storage/bucket:Bucket", "secretmanager/secret:Secret", "cloudrunv2/service:Service")
_RUNS: Final = ("gcp:cloudrunv2/service:Service", "gcp:cloudrunv2/job:Job")
# Predefined roles with storage.objects.delete, and the end of this project's own role that has nothing else.
_DELETING: Final = ("objectAdmin", "objectUser", "storage.admin", "legacyBucketWriter", "legacyBucketOwner")
_OWN_DELETING: Final = "_object_remover"
_SECRET_NAME: Final = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|CREDENTIALS)$")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Declared:
    """A resource as a policy sees it; what is not known yet in a preview is absent or no text."""

    type: str
    props: Mapping[str, Any]
    protect: bool


@dataclass(frozen=True)
class Rule:
    """One rule: its name, what it demands, and what violates it."""

    name: str
    demand: str
    violations: Callable[[Declared], Iterator[str]]


def _public_bucket(resource: Declared) -> Iterator[str]:
    if resource.type == "gcp:storage/bucket:Bucket":
        if resource.props.get("publicAccessPrevention") != "enforced":
            yield "publicAccessPrevention must be enforced"
        if resource.props.get("uniformBucketLevelAccess") is not True:
            yield "uniformBucketLevelAccess must be true: an object's own ACL could make it public"
    members = [resource.props.get("member"), *(resource.props.get("members") or [])]
    if any(member in _EVERYBODY for member in members) and "storage" in resource.type:
        yield "a bucket is granted to everybody"


def _everybody(resource: Declared) -> Iterator[str]:
    members = [resource.props.get("member"), *(resource.props.get("members") or [])]
    for member in members:
        if member in _EVERYBODY:
            yield f"{member} is granted {resource.props.get('role')}; set the service's public key instead"


def _primitive_role(resource: Declared) -> Iterator[str]:
    if resource.props.get("role") in _PRIMITIVE:
        yield f"{resource.props['role']} covers the whole project; grant a role on the thing itself"


def _account_key(resource: Declared) -> Iterator[str]:
    if resource.type == "gcp:serviceaccount/key:Key":
        yield "a service account's key is a password in a file; attach or impersonate the account"


def _digest(resource: Declared) -> Iterator[str]:
    for container in _containers(resource):
        image = container.get("image")
        if isinstance(image, str) and image and not _DIGEST.search(image):
            yield f"{image} is not an image by digest"


def _locked(resource: Declared) -> Iterator[str]:
    labels = resource.props.get("labels") or {}
    if not resource.type.endswith(_KEEPS) or labels.get("environment") != "prod":
        return
    if not resource.protect:
        yield "not protected; set protected to true, or run the documented teardown without this pack"
    if resource.type.endswith(":Bucket"):
        if resource.props.get("forceDestroy"):
            yield "forceDestroy would delete the backups with the bucket"
    elif resource.props.get("deletionProtection") is not True:
        yield "deletionProtection must be true"


def _plain_secret(resource: Declared) -> Iterator[str]:
    for container in _containers(resource):
        for variable in container.get("envs") or []:
            if _SECRET_NAME.search(variable.get("name", "")) and variable.get("value"):
                yield f"{variable['name']} has its value in clear; refer to a secret's version"


def _header(resource: Declared) -> Iterator[str]:
    if resource.type == "gcp:cloudscheduler/job:Job" and (resource.props.get("httpTarget") or {}).get("headers"):
        yield "headers of a schedule are in clear to everybody who may list schedules; prove by a token who calls"


def _deletion(resource: Declared) -> Iterator[str]:
    role = resource.props.get("role")
    if not isinstance(role, str) or not resource.type.startswith("gcp:storage/bucketIAM"):
        return
    if role.endswith((*_DELETING, _OWN_DELETING)) and not resource.props.get("condition"):
        yield f"{role} may delete every object of the bucket; hold it to names by a condition"


def _repository(resource: Declared) -> Iterator[str]:
    if resource.type != "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider":
        return
    condition = resource.props.get("attributeCondition") or ""
    for claim in ("repository_owner_id", "repository_id"):
        if not re.search(rf'assertion\.{claim} == "\d+"', condition):
            yield f"attributeCondition must compare {claim} with a number: a name can be taken by somebody else"
    if "||" in condition:
        yield "attributeCondition has an alternative, which lets in what the other half refuses"


def _labels(resource: Declared) -> Iterator[str]:
    key = _LABELLED.get(resource.type)
    if key is None:
        return
    missing = [label for label in _LABELS if label not in (resource.props.get(key) or {})]
    if missing:
        yield f"{key} lacks {', '.join(missing)}"


def _containers(resource: Declared) -> list[Mapping[str, Any]]:
    if resource.type not in _RUNS:
        return []
    template = resource.props.get("template") or {}
    found: list[Mapping[str, Any]] = (template.get("template") or template).get("containers") or []
    return found


RULES: Final = (
    Rule("no-public-bucket", "Buckets are private, by enforcement and without ACLs.", _public_bucket),
    Rule("no-grant-to-everybody", "Nothing is granted to allUsers or allAuthenticatedUsers.", _everybody),
    Rule("no-primitive-roles", "Owner, editor and viewer are granted to nobody.", _primitive_role),
    Rule("no-service-account-keys", "Service accounts have no keys.", _account_key),
    Rule("images-by-digest", "What runs is named by its digest.", _digest),
    Rule("locked-in-production", "What keeps or serves data in prod cannot be deleted.", _locked),
    Rule("no-secret-in-plain-environment", "Keys come from Secret Manager.", _plain_secret),
    Rule("no-header-in-a-schedule", "Schedules prove who they are by a token and carry no header.", _header),
    Rule("deletion-held-to-names", "Nobody may delete every object of a bucket.", _deletion),
    Rule("one-repository-by-number", "GitHub's tokens are taken from one repository.", _repository),
    Rule("labels-present", "Everything that can carry labels tells app, environment, stack.", _labels),
)
