"""The real engine; told in the order of a stack's life, each step in the state that the one before left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.engine import ENGINE, Engine, Outcome
from tests.infra.provider import Cloud, serving
from tests.infra.recorder import deploy
from tests.infra.stacks import DEV, PROD

pytestmark = [
    pytest.mark.skipif(
        not ENGINE,
        reason="the pulumi CLI is not on PATH (https://www.pulumi.com/docs/install/), so no real engine ran",
    ),
    pytest.mark.xdist_group("pulumi-engine"),
    # Four runs of the command line over a hundred resources, each starting Python anew, beside whatever else runs.
    pytest.mark.timeout(600),
]


ROLES = ("verify", "prune", "sync")


class Life:
    """A stack, the cloud it is in, and how its first preview ended."""

    def __init__(self, engine: Engine, cloud: Cloud) -> None:
        self.engine, self.cloud = engine, cloud
        # What a newcomer types; Pulumi.dev.yaml in the repository says the rest.
        engine.stack("dev", {key: DEV[key] for key in ("project", "region", "size")})
        self.previewed: Outcome = engine.preview("dev")
        self.called_by_preview = list(cloud.called)
        engine.up("dev").worked()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Deploy the dev stack once for this module."""
    cloud = Cloud()
    with serving(cloud) as providers:
        yield Life(Engine.over_copy(tmp_path_factory.mktemp("project"), providers), cloud)


def edited(life: Life, name: str, old: str, new: str) -> Path:
    """Replace text in a file of the project's copy."""
    path = life.engine.folder / name
    text = path.read_text()
    if old not in text:
        raise AssertionError(f"{name} has no {old!r}")
    path.write_text(text.replace(old, new))
    return path


def test_a_first_preview_needs_neither_docker_nor_credentials(life: Life) -> None:
    """With no daemon, no token and nothing known yet the preview works, builds nothing and calls nothing."""
    life.previewed.worked()

    everything = len(deploy(DEV).declared) + 1  # and the stack itself
    assert f"{everything} to create" in life.previewed.text
    assert life.called_by_preview == []


def test_things_are_made_in_an_order_that_works(life: Life) -> None:
    """APIs come first, and the service after every grant, key and image that its first instance needs."""
    made = life.cloud.made
    service = made.index("qdrant-service")

    apis = [name for name in made if name.startswith("apis-")]
    assert set(made[: len(apis)]) == set(apis)
    needed = "backups-writer-replaces-head keys-api-key-version keys-api-key-for-runtime image-reader"
    for name in needed.split():
        assert made.index(name) < service
    # A job that the clock starts has its rights already.
    for right in ("backups-verifier-records", "jobs-verify-starter"):
        assert made.index(right) < made.index("schedule-verify")
    assert made.index("backups-pruner-deletes") < made.index("jobs-prune")


def test_a_second_run_changes_nothing(life: Life) -> None:
    """What was deployed is what the program declares: no drift of its own making."""
    life.engine.preview("dev", "--expect-no-changes").worked()


def test_no_key_is_in_clear_anywhere_in_the_backend(life: Life) -> None:
    """Generated keys and the deployer's token are in no file of the state, its history included."""
    keys = [version["secretDataWo"] for version in life.cloud.of(":SecretVersion")]
    token = "ya29.token-of-the-deployer"
    files = [path for path in (life.engine.folder / "state").rglob("*") if path.is_file()]

    assert len(keys) == 2
    assert all(len(key) > 30 for key in keys)
    for path in files:
        content = path.read_text()
        assert not [secret for secret in (*keys, token) if secret in content], path.name
    assert "ciphertext" in str(life.engine.state("dev"))
    outputs = [resource.get("outputs", {}) for resource in life.engine.state("dev")["deployment"]["resources"]]
    assert not [found for found in outputs if "secretDataWo" in found]


def test_a_changed_file_of_the_container_is_a_new_image_and_a_new_revision(life: Life) -> None:
    """The preview after an edit in runtime/ updates the image and what runs it, and nothing else."""
    path = life.engine.folder / "runtime" / "contract.py"
    before = path.read_text()
    path.write_text(before + "\n# changed\n")
    revision = life.cloud.of("cloudrunv2/service:Service")[0]["template"]["containers"][0]["image"]

    updated = ("image-build", "qdrant-service", "jobs-verify", "jobs-prune")
    assert life.engine.steps("dev") == dict.fromkeys(updated, "update")
    life.engine.up("dev").worked()

    assert life.cloud.of("cloudrunv2/service:Service")[0]["template"]["containers"][0]["image"] != revision


def test_wrong_values_stop_the_preview_with_all_of_them(life: Life) -> None:
    """The engine prints every problem with its fix, without a trace, and nothing is changed."""
    there = dict(life.cloud.there)
    life.engine.configure("dev", {"region": "mars", "memory": "64Gi", "image": "qdrant:latest", "cpuIdle": "true"})
    told = life.engine.preview("dev")
    life.engine.configure("dev", {**DEV, "memory": "auto", "image": ""})
    life.engine.run("config", "rm", "cpuIdle", "--stack", "dev").worked()

    assert told.code != 0
    assert "4 problems in the configuration of stack dev; nothing was changed." in told.text
    for part in ("region = mars", "memory = 64Gi", "image = qdrant:latest", "cpuIdle = true"):
        assert part in told.text
    assert "Traceback" not in told.text
    assert life.cloud.there == there


def test_a_property_that_does_not_exist_fails_the_preview(life: Life) -> None:
    """The provider refuses a misspelt nested property before anything is changed."""
    right, wrong = "storage.BucketVersioningArgs(enabled=True)", '{"enabld": True}'
    edited(life, "components/bucket.py", right, wrong)
    told = life.engine.preview("dev")
    edited(life, "components/bucket.py", wrong, right)

    assert told.code != 0
    assert "BucketVersioningArgs has no such property" in told.text


def test_dev_becomes_production_in_place(life: Life) -> None:
    """Locks, monitoring, size, readers and a source come by updates: neither bucket, service nor key is replaced."""
    before = {name for name in life.cloud.there if "bucket" in name or "service" in name or "keys" in name}
    life.engine.configure("dev", PROD)
    steps = life.engine.steps("dev")
    life.engine.up("dev").worked()

    assert "replace" not in steps.values()
    assert before <= set(life.cloud.there)
    resources = life.engine.state("dev")["deployment"]["resources"]
    bucket = next(r for r in resources if r["type"] == "gcp:storage/bucket:Bucket")
    assert (bucket["protect"], bucket["retainOnDelete"]) == (True, True)
    assert {job["name"] for job in life.cloud.of("cloudrunv2/job:Job")} == {f"qdrant-dev-{role}" for role in ROLES}
    kept = [path.read_text() for path in (life.engine.folder / "state").rglob("*") if path.is_file()]
    assert not [text for text in kept if PROD["syncSourceKey"] in text]
    life.engine.preview("dev", "--expect-no-changes").worked()


def test_production_is_not_destroyed(life: Life) -> None:
    """Destroy fails on the protected resources, and all that keeps data is still there."""
    refused = life.engine.destroy("dev")

    assert refused.code != 0
    assert "protect" in refused.text
    assert life.cloud.of(":Bucket")
    assert life.cloud.of("cloudrunv2/service:Service")
    assert len(life.cloud.of("secret:Secret")) == 3


def test_the_local_stack_previews_with_its_own_provider_only(life: Life) -> None:
    """`pulumi preview -s local` needs no project, no region and no Google provider."""
    life.engine.run("stack", "init", "local").worked()
    told = life.engine.preview("local").worked()

    assert "docker:index:Container local-qdrant create" in told.text
    assert "gcp" not in told.text


def test_an_unlocked_stack_is_destroyed_whole(life: Life) -> None:
    """The documented way out: protected false, up, destroy; nothing of the stack is left."""
    life.engine.configure("dev", {"protected": "false"})
    life.engine.up("dev").worked()
    life.engine.destroy("dev").worked()

    assert life.cloud.there == {}
