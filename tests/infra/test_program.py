import re
from pathlib import Path

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.choices import ImageSource
from components.sources import digest_of_sources
from runtime import contract
from runtime.settings import Settings
from tests.infra import answers, shapes
from tests.infra.generated import ROOT
from tests.infra.iam import allowed
from tests.infra.inventory import FOLDER, STACKS, inventory
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV, LOCAL, PROD

_KEEPERS = {"keepers": {"rotation": "1"}}
GHCR = f"ghcr.io/acme/qdrant-cloud-run@sha256:{'a' * 64}"
VARIANTS = {
    "disk": {"disk": "20Gi"},
    "vpc": {"vpcNetwork": "main", "vpcSubnet": "run", "vpcEgress": "all-traffic"},
    "two-regions": {"secondRegion": "europe-west4"},
    "own-key": {"kmsKey": "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"},
    "public": {"public": "true"},
    "iam-only": {"apiKeys": "false"},
    "own-api-key": {"apiKey": "k" * 32},
    "image-here": {"image": f"europe-docker.pkg.dev/acme/q/qdrant@sha256:{'b' * 64}"},
    "image-elsewhere": {"image": GHCR},
    "internal": {"ingress": "internal"},
    "everything-large": {"size": "xlarge", "data": "15Gi", "monitoring": "true", "minInstances": "1"},
}


@pytest.fixture(scope="module")
def dev() -> Recorder:
    """Return the dev stack."""
    return deploy(DEV)


@pytest.fixture(scope="module")
def prod() -> Recorder:
    """Return the prod stack."""
    return deploy(PROD, stack="prod")


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_is_what_its_inventory_says(stack: str) -> None:
    """Every type, name, parent, option, grant and property equals the reviewed copy."""
    assert inventory(stack) == (FOLDER / f"{stack}.yaml").read_text(), "make inventory renews the copy"


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_with_nothing_known_does_not_crash(stack: str) -> None:
    """All of the program runs while no output of any resource is known yet, and calls no function."""
    recorder = deploy(STACKS[stack], stack=stack, preview=True)

    assert {r.name for r in recorder.declared} == {r.name for r in deploy(STACKS[stack], stack=stack).declared}
    assert recorder.called == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_choice_declares_what_the_cloud_accepts(variant: str) -> None:
    """Each optional part passes the providers' types and the cloud's own rules."""
    assert deploy({**DEV, **VARIANTS[variant]}).declared


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({"location": "EU", "name": "b", "typo": 1}, "BucketArgs has no such property"),
        ({"location": "EU", "versioning": {"enabld": True}}, "BucketVersioningArgs has no such property"),
        (
            {"location": "EU", "lifecycleRules": [{"action": {"type": "Delete"}}]},
            "condition: required and missing",
        ),
        ({"name": "b"}, "location: required and missing"),
        ({"location": "EU", "forceDestroy": "yes"}, "is not of type"),
        ({"location": "EU", "lifecycleRules": {}}, "is not a list"),
    ],
)
def test_the_mocks_refuse_what_a_provider_would(inputs: dict[str, object], fault: str) -> None:
    """An unknown, a missing or a mistyped property is found at any depth."""
    assert any(fault in found for found in shapes.faults("gcp:storage/bucket:Bucket", inputs))


OBJECTS = {
    "qdrant/HEAD": {"get", "list", "create", "delete"},
    "qdrant/HEAD2": {"get", "list", "create"},
    "HEAD": {"get", "list", "create"},
    "qdrant/manifests/00000001-0000000001.json": {"get", "list", "create"},
    "qdrant/packs/2026/11/01/x.tar": {"get", "list", "create"},
}


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


def test_verification_only_records(dev: Recorder) -> None:
    """The verify account adds records of verifications and nothing else."""
    assert allowed(dev, "qdrant-dev-verify", "qdrant/verified/x.json") == {"get", "list", "create"}
    assert allowed(dev, "qdrant-dev-verify", "qdrant/packs/x.tar") == {"get", "list"}


def test_the_scheduler_only_calls(dev: Recorder) -> None:
    """The scheduler's account has no right on the bucket or the keys, only to invoke the service."""
    grants = [r for r in dev.declared if "scheduler@" in str(r.inputs.get("member", ""))]

    assert [grant.inputs["role"] for grant in grants] == ["roles/run.invoker"]
    assert allowed(dev, "qdrant-dev-scheduler", "qdrant/HEAD") == set()


def test_nobody_is_granted_anything_on_the_whole_project(prod: Recorder) -> None:
    """Every grant is on one thing; no account gets a role of the project, and there are no keys."""
    kinds = {resource.type for resource in prod.declared}

    assert not {kind for kind in kinds if re.search(r"projects/iAM(Member|Binding|Policy):|serviceaccount/key:", kind)}


def test_the_container_is_told_what_the_contract_says(dev: Recorder) -> None:
    """The service sets exactly the contract's variables and the two keys, and never PORT."""
    container = dev.only("cloudrunv2/service:Service").inputs["template"]["containers"][0]
    told = contract.environment(
        backup_url="", project="", collections="", allowed_callers="", restore_policy="",
        backup_max_age_seconds="", runtime_environment="", log_level="",
    )  # fmt: skip

    names = {env["name"] for env in container["envs"]}
    assert names == {*told, contract.QDRANT_API_KEY, contract.QDRANT_READ_ONLY_API_KEY}
    assert container["ports"] == {"name": "h2c", "containerPort": contract.DEFAULT_PORT}
    for probe, route in (("startupProbe", contract.STARTUP_ROUTE), ("livenessProbe", contract.LIVE_ROUTE)):
        assert container[probe]["httpGet"] == {"path": route, "port": contract.DEFAULT_AGENT_PORT}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_what_the_service_sets_the_container_reads(stack: str) -> None:
    """The declared environment is a valid one for the container's settings, and means what was configured."""
    values = {**STACKS[stack], "collections": "docs, images", "backupMaxAgeSeconds": "30", "logLevel": "warning"}
    container = deploy(values, stack=stack).only("cloudrunv2/service:Service").inputs["template"]["containers"][0]
    settings = Settings.from_env({env["name"]: env.get("value", env["name"] * 2) for env in container["envs"]})

    assert settings.backup_url == f"gs://acme-search-qdrant-{stack}-backups/qdrant"
    assert settings.project == "acme-search"
    assert settings.collections == ("docs", "images")
    assert settings.allowed_callers == (f"qdrant-{stack}-scheduler@acme-search.iam.gserviceaccount.com",)
    assert (settings.backup_max_age_seconds, settings.log_level) == (30, "WARNING")
    assert settings.runtime_environment == ("production" if stack == "prod" else "development")
    assert settings.api_key != settings.read_only_api_key


def test_every_event_that_raises_an_alert_is_one_that_the_container_logs() -> None:
    """No alert waits for a name that nothing logs."""
    sources = "".join(path.read_text() for path in (ROOT / "runtime").rglob("*.py") if path.name != "contract.py")

    assert [event for event in contract.EVENTS.values() if f'"{event}"' not in sources] == []


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


def test_the_service_waits_for_what_a_start_needs(dev: Recorder) -> None:
    """A revision is made after the grants on bucket, keys and image: its first instance needs them."""
    service = dev.only("run:QdrantService")

    assert {
        "backups-writer-replaces-head",
        "backups-writer-adds",
        "keys-api-key-reader",
        "image-reader",
    } <= set(service.dependencies)


def test_everything_waits_for_the_apis(dev: Recorder) -> None:
    """Every other component is registered after the APIs are enabled."""
    components = [r for r in dev.declared if r.type.startswith("qdrant:") and r.name not in ("apis", "qdrant")]

    assert components
    assert all("apis-run" in component.dependencies for component in components)


def test_the_schedule_asks_as_itself_and_sends_no_key(dev: Recorder) -> None:
    """The job posts to the snapshot route with a token for the service's URL, and no header at all."""
    target = dev.only("job:Job").inputs["httpTarget"]

    assert target["uri"] == f"https://qdrant-dev-123456789012.europe-west1.run.app{contract.SNAPSHOT_ROUTE}"
    assert target["oidcToken"]["audience"] == target["uri"].removesuffix(contract.SNAPSHOT_ROUTE)
    assert target["httpMethod"] == "POST"
    assert "headers" not in target


def test_production_cannot_be_deleted_by_accident(prod: Recorder, dev: Recorder) -> None:
    """In prod what keeps or serves data is locked three ways; in dev nothing is."""
    bucket, service = prod.only("bucket:Bucket"), prod.only("cloudrunv2/service:Service")

    assert (bucket.protect, bucket.retain, bucket.inputs["forceDestroy"]) == (True, True, False)
    assert (service.protect, service.inputs["deletionProtection"]) == (True, True)
    assert all(secret.protect and secret.inputs["deletionProtection"] for secret in prod.all("secret:Secret"))
    assert not [resource for resource in dev.declared if resource.protect or resource.retain]


def test_unlocking_is_one_key() -> None:
    """With protected set to false a prod stack carries none of the three locks."""
    recorder = deploy({**PROD, "protected": "false"}, stack="prod")

    assert not [r for r in recorder.declared if r.protect or r.retain or r.inputs.get("deletionProtection")]


def test_dev_scales_to_zero_and_always_has_cpu(dev: Recorder) -> None:
    """An idle dev instance goes away, and while it is there its backups have CPU."""
    service = dev.only("cloudrunv2/service:Service").inputs

    assert service["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 1}
    assert service["template"]["containers"][0]["resources"]["cpuIdle"] is False
    assert "scaling" not in service["template"]


def test_a_public_service_checks_keys_instead_of_callers() -> None:
    """Public turns the IAM check off and nothing else: no grant to everybody, keys stay."""
    recorder = deploy({**DEV, "public": "true"})

    assert recorder.only("cloudrunv2/service:Service").inputs["invokerIamDisabled"] is True
    assert not [r for r in recorder.declared if "allUsers" in str(r.inputs)]
    assert recorder.all("secret:Secret")


def test_an_image_elsewhere_is_pulled_through_a_remote_repository() -> None:
    """Cloud Run cannot pull from ghcr.io, so the digest is asked of a repository that mirrors it."""
    recorder = deploy({**DEV, "image": GHCR})

    image = recorder.only("cloudrunv2/service:Service").inputs["template"]["containers"][0]["image"]
    remote = recorder.only("repository:Repository").inputs["remoteRepositoryConfig"]
    repository = "europe-west1-docker.pkg.dev/acme-search/qdrant-dev-images"
    assert image == GHCR.replace("ghcr.io", repository)
    assert remote == {"dockerRepository": {"customRepository": {"uri": "https://ghcr.io"}}}
    assert not recorder.all("index:Image")


def test_a_preview_builds_nothing_and_asks_for_no_token(dev: Recorder) -> None:
    """The build is skipped in previews, and the image is then unknown instead of a tag."""
    preview = deploy(DEV, preview=True)

    assert dev.only("index:Image").inputs["buildOnPreview"] is False
    assert dev.called == ["gcp:organizations/getClientConfig:getClientConfig"]
    container = preview.only("cloudrunv2/service:Service").inputs["template"]["containers"][0]
    assert container["image"] == UNKNOWN


def test_a_changed_file_of_the_container_changes_the_image_s_tag(tmp_path: Path) -> None:
    """The tag follows from the content of every file of the build, and from nothing else."""
    (tmp_path / "runtime" / "__pycache__").mkdir(parents=True)
    for name in ("Dockerfile.qdrant", "runtime/a.py", "lock.txt"):
        (tmp_path / name).write_text(name)
    source = ImageSource(
        given="", root=tmp_path, dockerfile="Dockerfile.qdrant", files=("runtime", "lock.txt"), build_args={}
    )
    first = digest_of_sources(source)
    (tmp_path / "runtime" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "README.md").write_text("x")
    assert digest_of_sources(source) == first

    for name in ("Dockerfile.qdrant", "runtime/a.py", "lock.txt"):
        before = digest_of_sources(source)
        (tmp_path / name).write_text("changed")
        assert digest_of_sources(source) != before


def test_a_disk_is_a_preview_feature_without_drift() -> None:
    """Ephemeral disks need the launch stage, whose answer differs once they are GA: it is ignored."""
    service = deploy({**DEV, "disk": "20Gi"}).only("cloudrunv2/service:Service")

    assert service.inputs["launchStage"] == "BETA"
    assert "launchStage" in service.ignored
    assert service.inputs["template"]["volumes"][0]["emptyDir"] == {"medium": "DISK", "sizeLimit": "20Gi"}


def test_everything_that_can_carry_labels_does(prod: Recorder) -> None:
    """Bucket, service, keys, repository, alerts and checks are labelled with app, environment and stack."""
    labelled = [r for r in prod.declared if {"labels", "userLabels"} & set(r.inputs)]

    assert len(labelled) >= 15
    for resource in labelled:
        labels = resource.inputs.get("userLabels") or resource.inputs["labels"]
        assert {"app", "environment", "stack", "managed-by"} <= set(labels), resource.name


def test_the_local_stack_touches_no_cloud() -> None:
    """On one's own machine every resource is Docker's, and ports are on loopback only."""
    recorder = deploy(LOCAL, stack="local")

    assert {r.type.partition(":")[0] for r in recorder.declared} == {"docker", "qdrant"}
    container = next(r for r in recorder.all("container:Container") if r.name == "local-qdrant")
    assert {port["ip"] for port in container.inputs["ports"]} == {"127.0.0.1"}
    assert f"{contract.STORAGE_EMULATOR_HOST}=http://bucket:4443" in container.inputs["envs"]


def test_outputs_tell_what_a_person_needs_and_no_key(dev: Recorder) -> None:
    """URL, bucket, status page, a client snippet, and the commands that fetch a key and verify."""
    wanted = {"url", "bucket", "statusPage", "apiKeyCommand", "clientSnippet", "verifyCommand"}
    assert wanted <= set(dev.outputs)
    compile(dev.outputs["clientSnippet"], "snippet", "exec")
    assert 'url="https://qdrant-dev-' in dev.outputs["clientSnippet"]


def test_the_program_reads_like_its_picture() -> None:
    """__main__.py stays within 80 lines."""
    assert len((FOLDER.parents[2] / "__main__.py").read_text().splitlines()) <= 80
