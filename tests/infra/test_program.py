import re

import pytest

from tests.infra import answers, shapes
from tests.infra.inventory import FOLDER, STACKS, inventory
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV

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
    "nothing-by-the-clock": {
        "snapshotSchedule": "off",
        "drillSchedule": "off",
        "pruneSchedule": "off",
        "monitoring": "true",
    },
    "source-without-a-key": {"syncSource": "http://10.0.0.7:6333", "syncSchedule": "off"},
    "readers-larger": {"readers": "2", "readerSize": "medium", "disk": "4Gi", "minReaders": "1"},
    "jobs-in-a-network": {"syncSource": "https://q.internal", "vpcNetwork": "main", "vpcSubnet": "run"},
    "everything-large": {"size": "xlarge", "data": "15Gi", "monitoring": "true", "minInstances": "1"},
}


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


def test_everything_waits_for_the_apis(dev: Recorder) -> None:
    """Every other component is registered after the APIs are enabled."""
    first = ("apis", "qdrant", "jobs")  # the last two wait for what waits for the APIs
    components = [r for r in dev.declared if r.type.startswith("qdrant:") and r.name not in first]

    assert components
    assert all("apis-run" in component.dependencies for component in components)


def test_destroying_a_stack_disables_no_api(prod: Recorder) -> None:
    """An API that others in the project may use stays enabled."""
    apis = [api.inputs for api in prod.all("projects/service:Service")]

    assert {"monitoring.googleapis.com", "run.googleapis.com"} <= {api["service"] for api in apis}
    assert not [api for api in apis if api["disableOnDestroy"] or api["disableDependentServices"]]


def test_the_answers_of_the_mocks_are_outputs_that_providers_have(prod: Recorder) -> None:
    """No test passes because a mock fills in an output that the installed provider does not have."""
    for resource in prod.declared:
        made_up = answers.computed(resource.type, resource.name, resource.inputs)
        for name in made_up:
            snake = re.sub("([A-Z])", r"_\1", name).lower()
            assert isinstance(getattr(shapes.resource_class(resource.type), snake), property), name


def test_everything_that_can_carry_labels_does(prod: Recorder) -> None:
    """Bucket, service, keys, repository, alerts and checks are labelled with app, environment and stack."""
    labelled = [r for r in prod.declared if {"labels", "userLabels"} & set(r.inputs)]

    assert len(labelled) >= 15
    for resource in labelled:
        labels = resource.inputs.get("userLabels") or resource.inputs["labels"]
        assert {"app", "environment", "stack", "managed-by"} <= set(labels), resource.name


def test_the_program_reads_like_its_picture() -> None:
    """__main__.py stays within 80 lines."""
    assert len((FOLDER.parents[2] / "__main__.py").read_text().splitlines()) <= 80
