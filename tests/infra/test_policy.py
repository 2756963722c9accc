import shutil
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from policy.rules import RULES, Declared
from tests.infra.engine import ENGINE, Engine
from tests.infra.generated import ROOT
from tests.infra.inventory import STACKS
from tests.infra.provider import Cloud, serving
from tests.infra.recorder import bootstrap, deploy
from tests.infra.stacks import DELIVERY, DEV

PACK_PYTHON = ROOT / "policy" / ".venv" / "bin" / "python"
LABELS = {"app": "qdrant", "environment": "prod", "stack": "s", "managed-by": "pulumi"}
BUCKET = {"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": True, "labels": LABELS}


def runs(**container: Any) -> dict[str, Any]:
    """Return the properties of a service with one container."""
    image = f"r/q@sha256:{'a' * 64}"
    template = {"containers": [{"image": image, **container}]}
    return {"labels": LABELS, "deletionProtection": True, "template": template}


PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
NUMBERS = 'assertion.repository_owner_id == "1" && assertion.repository_id == "2"'

VIOLATIONS = [
    ("one-repository-by-number", PROVIDER, {}),
    ("one-repository-by-number", PROVIDER, {"attributeCondition": 'assertion.repository == "acme/search"'}),
    ("one-repository-by-number", PROVIDER, {"attributeCondition": f'{NUMBERS} || assertion.actor == "me"'}),
    ("no-public-bucket", "gcp:storage/bucket:Bucket", {**BUCKET, "publicAccessPrevention": "inherited"}),
    ("no-public-bucket", "gcp:storage/bucket:Bucket", {**BUCKET, "uniformBucketLevelAccess": False}),
    ("no-public-bucket", "gcp:storage/bucketIAMBinding:BucketIAMBinding", {"members": ["allUsers"]}),
    ("no-grant-to-everybody", "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", {"member": "allUsers"}),
    ("no-primitive-roles", "gcp:projects/iAMMember:IAMMember", {"role": "roles/editor"}),
    ("no-service-account-keys", "gcp:serviceaccount/key:Key", {}),
    ("images-by-digest", "gcp:cloudrunv2/service:Service", runs(image="r/q:v1")),
    (
        "images-by-digest",
        "gcp:cloudrunv2/job:Job",
        {"labels": LABELS, "template": {"template": {"containers": [{"image": "r/q"}]}}},
    ),
    ("locked-in-production", "gcp:storage/bucket:Bucket", {**BUCKET, "forceDestroy": True}),
    ("locked-in-production", "gcp:cloudrunv2/service:Service", {**runs(), "deletionProtection": False}),
    (
        "no-secret-in-plain-environment",
        "gcp:cloudrunv2/service:Service",
        runs(envs=[{"name": "QDRANT_API_KEY", "value": "hunter2"}]),
    ),
    (
        "no-header-in-a-schedule",
        "gcp:cloudscheduler/job:Job",
        {"httpTarget": {"uri": "https://q.run.app/api/snapshot", "headers": {"api-key": "hunter2"}}},
    ),
    (
        "deletion-held-to-names",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"role": "roles/storage.objectAdmin", "member": "user:you@example.com"},
    ),
    (
        "deletion-held-to-names",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"role": "projects/p/roles/qdrant_prod_object_remover", "member": "serviceAccount:a@b.c"},
    ),
    ("labels-present", "gcp:storage/bucket:Bucket", {**BUCKET, "labels": {"environment": "dev"}}),
]


def violated(resource: Declared) -> set[str]:
    """Return the names of the rules that a resource violates."""
    return {rule.name for rule in RULES if list(rule.violations(resource))}


def known(value: Any) -> Any:
    """Return properties without the unknown ones, which the pack leaves out too."""
    if isinstance(value, dict):
        return {key: known(inner) for key, inner in value.items() if inner != UNKNOWN}
    return [known(inner) for inner in value if inner != UNKNOWN] if isinstance(value, list) else value


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("preview", [False, True])
def test_every_stack_keeps_every_rule(stack: str, *, preview: bool) -> None:
    """No resource of dev, prod or local violates a rule, deployed or in a preview with unknown values."""
    recorder = deploy(STACKS[stack], stack=stack, preview=preview)

    found = {r.name: violated(Declared(r.type, known(r.inputs), protect=r.protect)) for r in recorder.declared}
    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.parametrize("preview", [False, True])
def test_the_bootstrap_stack_keeps_every_rule(*, preview: bool) -> None:
    """Nothing that delivery stands on violates a rule."""
    declared = bootstrap(DELIVERY, preview=preview).declared

    found = {r.name: violated(Declared(r.type, known(r.inputs), protect=r.protect)) for r in declared}
    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.parametrize(("rule", "kind", "props"), VIOLATIONS)
def test_each_rule_finds_what_it_forbids(rule: str, kind: str, props: dict[str, Any]) -> None:
    """A resource that does what a rule forbids violates that rule."""
    assert rule in violated(Declared(kind, props, protect=True))


def test_every_rule_has_an_example_that_violates_it() -> None:
    """No rule is there without a proof that it finds something."""
    assert {rule for rule, _, _ in VIOLATIONS} == {rule.name for rule in RULES}


def test_what_keeps_data_in_production_must_be_protected() -> None:
    """Without Pulumi's own protection a prod bucket violates the rule, a dev bucket does not."""
    dev = {**BUCKET, "labels": {**LABELS, "environment": "dev"}}

    assert "locked-in-production" in violated(Declared("gcp:storage/bucket:Bucket", BUCKET, protect=False))
    assert not violated(Declared("gcp:storage/bucket:Bucket", BUCKET, protect=True))
    assert not violated(Declared("gcp:storage/bucket:Bucket", dev, protect=False))


@pytest.mark.skipif(not ENGINE, reason="no pulumi CLI on PATH, the pack was not run")
@pytest.mark.skipif(not PACK_PYTHON.exists(), reason="no policy/.venv (make policy), the pack was not run")
def test_the_engine_enforces_the_pack(tmp_path: Path) -> None:
    """A preview passes, quietly about unknown values, and fails once a bucket could be public."""
    with serving(Cloud()) as providers:
        engine = Engine.over_copy(tmp_path, providers)
        shutil.copytree(ROOT / "policy", tmp_path / "policy", symlinks=True)
        engine.stack("dev", DEV)
        kept = engine.preview("dev", "--policy-pack", "policy").worked()
        bucket = tmp_path / "components" / "bucket.py"
        bucket.write_text(bucket.read_text().replace('"enforced"', '"inherited"'))
        violated = engine.preview("dev", "--policy-pack", "policy")

    assert "qdrant-cloud-run@v1.0.0" in kept.text
    assert "can't run policy" not in kept.text
    assert violated.code != 0
    assert "publicAccessPrevention must be enforced" in violated.text
