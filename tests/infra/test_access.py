import re

import pytest

from runtime import contract
from tests.infra import answers
from tests.infra.iam import allowed
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV, PROD

_KEEPERS = {"keepers": {"rotation": "1"}}
OBJECTS = {
    "qdrant/HEAD": {"get", "list", "create", "delete"},
    "qdrant/HEAD2": {"get", "list", "create"},
    "HEAD": {"get", "list", "create"},
    "qdrant/manifests/00000001-0000000001.json": {"get", "list", "create"},
    "qdrant/packs/2026/11/01/x.tar": {"get", "list", "create"},
    "qdrant/journal/00000001/0000000001": {"get", "list", "create"},
}
# Every kind of name that the repository has, and some that are not its.
NAMES = (
    *OBJECTS,
    *(f"qdrant/{folder}/x" for folder in contract.REPOSITORY_FOLDERS),
    f"qdrant/{contract.SYNC_LEASE_OBJECT}",
    *("elsewhere/packs/x", "qdrant/packs-of-others", "qdrant/verifiedx", "qdrant2/HEAD", "qdrant/HEAD/x"),
)
ACCOUNTS = ("runtime", "scheduler", "verify", "prune", "sync", "reader", "preview", "deploy")


@pytest.mark.parametrize("name", OBJECTS)
def test_the_instance_deletes_and_overwrites_nothing_but_head(dev: Recorder, name: str) -> None:
    """The runtime account reads, lists and adds; the right that overwriting needs it has on HEAD alone."""
    assert allowed(dev, "qdrant-dev-runtime", name) == OBJECTS[name]


def test_only_pruning_deletes_and_never_head(dev: Recorder) -> None:
    """The prune account deletes backups, adds nothing, and cannot touch HEAD or anything else."""
    for folder in contract.REPOSITORY_FOLDERS:
        assert allowed(dev, "qdrant-dev-prune", f"qdrant/{folder}/x") == {"get", "list", "delete"}
    for name in ("qdrant/HEAD", "elsewhere/packs/x", "qdrant/packs-of-others"):
        assert allowed(dev, "qdrant-dev-prune", name) == {"get", "list"}


@pytest.mark.parametrize("name", NAMES)
def test_no_backup_is_deleted_by_anybody_but_pruning(prod: Recorder, name: str) -> None:
    """Of all accounts only prune's may delete a backup; HEAD and the lease of pulls can be replaced."""
    deleting = {account for account in ACCOUNTS if "delete" in allowed(prod, f"qdrant-prod-{account}@", name)}

    if name == "qdrant/HEAD":
        assert deleting == {"runtime", "sync"}
    elif name == f"qdrant/{contract.SYNC_LEASE_OBJECT}":
        assert deleting == {"prune", "sync"}
    else:
        backup = any(name.startswith(f"qdrant/{folder}/") for folder in contract.REPOSITORY_FOLDERS)
        assert deleting == ({"prune"} if backup else set())


@pytest.mark.parametrize("name", NAMES)
def test_pruning_cannot_write(prod: Recorder, name: str) -> None:
    """Prune's account creates nothing at all, so it can overwrite neither HEAD nor a backup with one of its own."""
    assert "create" not in allowed(prod, "qdrant-prod-prune@", name)


@pytest.mark.parametrize("name", NAMES)
def test_verification_only_records(prod: Recorder, name: str) -> None:
    """Verify's account reads, and adds below verified/ alone: no record of its own can it change or remove."""
    expected = {"get", "list", "create"} if name.startswith("qdrant/verified/") else {"get", "list"}

    assert allowed(prod, "qdrant-prod-verify@", name) == expected


@pytest.mark.parametrize("name", NAMES)
def test_readers_only_read(prod: Recorder, name: str) -> None:
    """The readers' account gets and lists, whatever the name."""
    assert allowed(prod, "qdrant-prod-reader@", name) == {"get", "list"}


@pytest.mark.parametrize("name", NAMES)
def test_a_pull_adds_below_the_prefix_and_replaces_head(prod: Recorder, name: str) -> None:
    """Sync's account may do to backups what the instance's may, within the prefix, and replace its lease."""
    expected = {"get", "list"} | ({"create"} if name.startswith("qdrant/") else set())
    replaces = name in ("qdrant/HEAD", "qdrant/sync/LEASE")

    assert allowed(prod, "qdrant-prod-sync@", name) == expected | ({"delete"} if replaces else set())


def test_the_scheduler_only_calls(prod: Recorder) -> None:
    """The scheduler's account has no right on the bucket or the keys, only to call the service and start the jobs."""
    grants = [r for r in prod.declared if "scheduler@" in str(r.inputs.get("member", ""))]

    assert {grant.inputs["role"] for grant in grants} == {"roles/run.invoker"}
    on = sorted(grant.inputs["name"] for grant in grants)
    assert on == ["qdrant-prod", "qdrant-prod-prune", "qdrant-prod-sync", "qdrant-prod-verify"]
    assert not [name for name in NAMES if allowed(prod, "qdrant-prod-scheduler@", name)]


def test_keys_go_to_whom_they_are_for(prod: Recorder) -> None:
    """Qdrant's keys are read by what serves, the source's key by the pull alone; drill and prune read none."""
    readers: dict[str, set[str]] = {}
    for grant in prod.all("secretIamMember:SecretIamMember"):
        account = grant.inputs["member"].partition("@")[0].rpartition("-")[2]
        readers.setdefault(grant.inputs["secretId"], set()).add(account)

    assert readers == {
        "qdrant-prod-api-key": {"runtime", "reader"},
        "qdrant-prod-read-only-api-key": {"runtime", "reader"},
        "qdrant-prod-source-api-key": {"sync"},
    }


def test_nobody_is_granted_anything_on_the_whole_project(prod: Recorder) -> None:
    """Every grant is on one thing; no account gets a role of the project, and there are no keys."""
    kinds = {resource.type for resource in prod.declared}

    assert not {kind for kind in kinds if re.search(r"projects/iAM(Member|Binding|Policy):|serviceaccount/key:", kind)}


def test_keys_are_secret_all_the_way(dev: Recorder) -> None:
    """A key goes to Secret Manager as a secret, and to the service by pinned version only."""
    for version in dev.all("secretVersion:SecretVersion"):
        assert "secretDataWo" in version.secret
        assert "secretData" not in version.inputs
    container = dev.only("cloudrunv2/service:Service").inputs["template"]["containers"][0]
    keys = [env for env in container["envs"] if "KEY" in env["name"]]
    assert [env["valueSource"]["secretKeyRef"]["version"] for env in keys] == ["1", "1"]
    assert not [env for env in keys if "value" in env]
    generated = answers.computed("random:index/randomPassword:RandomPassword", "keys-api-key-value", _KEEPERS)
    elsewhere = [r.inputs for r in dev.declared if not r.type.endswith("SecretVersion")]
    assert generated["result"] in str([r.inputs for r in dev.declared])
    assert generated["result"] not in str([elsewhere, dev.outputs])


def test_a_key_of_one_s_own_replaces_the_generated_one() -> None:
    """With apiKey given only the other key is generated, and the given one is stored as a secret."""
    recorder = deploy({**DEV, "apiKey": "k" * 32})

    assert [r.name for r in recorder.all("RandomPassword")] == ["keys-read-only-api-key-value"]
    assert all("secretDataWo" in version.secret for version in recorder.all("SecretVersion"))


def test_raising_the_rotation_makes_new_keys() -> None:
    """KeyRotation changes the generator's keeper and the version of the write-only value."""
    recorder = deploy({**DEV, "keyRotation": "2"})

    assert {r.inputs["keepers"]["rotation"] for r in recorder.all("RandomPassword")} == {"2"}
    assert {r.inputs["secretDataWoVersion"] for r in recorder.all("SecretVersion")} == {"2"}


def test_production_cannot_be_deleted_by_accident(prod: Recorder, dev: Recorder) -> None:
    """In prod what keeps or serves data is locked three ways; in dev nothing is."""
    bucket, service = prod.only("bucket:Bucket"), prod.named("qdrant-service")

    assert (bucket.protect, bucket.retain, bucket.inputs["forceDestroy"]) == (True, True, False)
    assert (service.protect, service.inputs["deletionProtection"]) == (True, True)
    assert all(secret.protect and secret.inputs["deletionProtection"] for secret in prod.all("secret:Secret"))
    assert not [resource for resource in dev.declared if resource.protect or resource.retain]


def test_unlocking_is_one_key() -> None:
    """With protected set to false a prod stack carries none of the three locks."""
    recorder = deploy({**PROD, "protected": "false"}, stack="prod")

    assert not [r for r in recorder.declared if r.protect or r.retain or r.inputs.get("deletionProtection")]


def test_a_public_service_checks_keys_instead_of_callers() -> None:
    """Public turns the IAM check off and nothing else: no grant to everybody, keys stay."""
    recorder = deploy({**DEV, "public": "true"})

    assert recorder.only("cloudrunv2/service:Service").inputs["invokerIamDisabled"] is True
    assert not [r for r in recorder.declared if "allUsers" in str(r.inputs)]
    assert recorder.all("secret:Secret")


def test_the_schedule_asks_as_itself_and_sends_no_key(dev: Recorder) -> None:
    """The job posts to the snapshot route with a token for the service's URL, and no header at all."""
    target = dev.named("schedule-snapshot").inputs["httpTarget"]

    assert target["uri"] == f"https://qdrant-dev-123456789012.europe-west1.run.app{contract.SNAPSHOT_ROUTE}"
    assert target["oidcToken"]["audience"] == target["uri"].removesuffix(contract.SNAPSHOT_ROUTE)
    assert target["httpMethod"] == "POST"
    assert "headers" not in target


def test_the_schedules_token_is_one_that_the_container_accepts(dev: Recorder) -> None:
    """A private service has its tokens checked by Cloud Run; a public one knows what they must be made for."""
    public = deploy({**DEV, "public": "true"})
    audience = public.named("schedule-snapshot").inputs["httpTarget"]["oidcToken"]["audience"]
    for recorder, access, expected in ((dev, "private", ""), (public, "public", audience)):
        service = recorder.only("cloudrunv2/service:Service").inputs
        told = {env["name"]: env.get("value") for env in service["template"]["containers"][0]["envs"]}

        assert told[contract.SERVICE_ACCESS] == access
        assert told[contract.CALLER_AUDIENCES] == expected
        assert service.get("customAudiences", []) == ([expected] if expected else [])
