"""Previews, deployments, drift and the bootstrap by the targets that pipelines run, with the real engine."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from local.bucket import bucket_emulator
from tests.infra.engine import ENGINE, Engine
from tests.infra.generated import ROOT
from tests.infra.provider import Cloud, serving
from tests.infra.stacks import DEV

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not ENGINE,
        reason="the pulumi CLI is not on PATH (https://www.pulumi.com/docs/install/), so no real engine ran",
    ),
    pytest.mark.xdist_group("delivery-engine"),
]
IMAGES = "europe-west1-docker.pkg.dev/acme-search/qdrant-releases/qdrant"
FIRST, SECOND = (f"{IMAGES}@sha256:{letter * 64}" for letter in "ab")


@dataclass
class Life:
    """A project that is delivered to, and the cloud it is in."""

    engine: Engine
    cloud: Cloud

    def up(self, image: str) -> None:
        """Deploy an image as `make deliver` does, without the checks, which need a service that answers."""
        program = f"from deployment import pulumi; pulumi.up('dev', image={image!r})"
        self.engine.command(".venv/bin/python", "-c", program).worked()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Make a dev stack in a bucket of state that is empty."""
    cloud = Cloud()
    with serving(cloud) as providers:
        engine = Engine.over_copy(tmp_path_factory.mktemp("delivered"), providers)
        engine.stack("dev", {**DEV, "deployers": "qdrant-deploy@acme-search.iam.gserviceaccount.com"})
        yield Life(engine, cloud)


def test_a_preview_before_the_first_delivery_tells_what_is_made(life: Life) -> None:
    """The report is a table with every resource, the stack's own file is left as it was."""
    before = (life.engine.folder / "Pulumi.dev.yaml").read_text()
    life.engine.make("preview", STACK="dev", REFERENCE=FIRST).worked()
    report = (life.engine.folder / "build" / "preview" / "dev.md").read_text()

    assert report.startswith("### dev: 50 to create\n")
    assert "| create | `qdrant-service` (gcp:cloudrunv2/service:Service) |" in report
    assert (life.engine.folder / "Pulumi.dev.yaml").read_text() == before


def test_a_stack_that_was_never_delivered_has_not_drifted(life: Life) -> None:
    """Drift before the first deployment is nothing, and no failure."""
    assert "nothing can have drifted" in life.engine.make("drift", STACK="dev").worked().text


def test_a_stack_that_is_not_there_is_told_with_the_command_that_makes_it(life: Life) -> None:
    """A preview of an unknown stack fails with what to type."""
    told = life.engine.make("preview", STACK="nowhere")

    assert told.code != 0
    assert "pulumi stack init nowhere" in told.text


def test_a_delivered_image_is_what_the_next_preview_starts_from(life: Life) -> None:
    """After a deployment of an image, a preview that names none shows no change: it takes the deployed one."""
    life.up(FIRST)
    (life.engine.folder / "Pulumi.dev.yaml").write_text(
        "".join(
            line
            for line in (life.engine.folder / "Pulumi.dev.yaml").read_text().splitlines(keepends=True)
            if "qdrant-cloud-run:image" not in line
        )
    )

    text = life.engine.make("preview", STACK="dev").worked().text
    assert "### dev: nothing changes" in text
    service = life.cloud.of("cloudrunv2/service:Service")[0]
    assert service["template"]["containers"][0]["image"] == FIRST


def test_a_new_image_changes_the_service_and_its_jobs_alone(life: Life) -> None:
    """The preview of another image names service and jobs and the property, and shows no value."""
    text = life.engine.make("preview", STACK="dev", REFERENCE=SECOND).worked().text

    assert "### dev: 3 to update" in text
    assert "| update | `qdrant-service` (gcp:cloudrunv2/service:Service) | `template" in text
    assert text.count("(gcp:cloudrunv2/job:Job) | `template") == 2
    assert SECOND not in text


def test_what_somebody_changed_in_the_cloud_is_drift(life: Life) -> None:
    """A changed resource fails the nightly run and is named; put back, the run passes."""
    found = service_of(life)
    kind, right = life.cloud.there[found]
    life.cloud.there[found] = (kind, {**right, "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"})
    drifted = life.engine.make("drift", STACK="dev")
    life.cloud.there[found] = (kind, right)

    assert drifted.code != 0
    assert "`qdrant-service`" in drifted.text
    assert "`ingress`" in drifted.text
    assert "nothing changes" in life.engine.make("drift", STACK="dev").worked().text


def test_a_delivery_undoes_the_traffic_of_a_rollback(life: Life) -> None:
    """Traffic that was pinned to an old revision goes to the newest again, though nothing else changed."""
    found = service_of(life)
    kind, right = life.cloud.there[found]
    pinned = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "old", "percent": 100}]
    life.cloud.there[found] = (kind, {**right, "traffics": pinned})
    life.up(FIRST)

    assert life.cloud.there[found][1]["traffics"] == right["traffics"]


def test_a_preview_that_fails_says_why_in_the_report(life: Life) -> None:
    """Wrong configuration reaches the comment: the problem with its fix, and the run fails."""
    life.engine.configure("dev", {"region": "mars"})
    told = life.engine.make("preview", STACK="dev")
    life.engine.configure("dev", {"region": DEV["region"]})
    report = (life.engine.folder / "build" / "preview" / "dev.md").read_text()

    assert told.code != 0
    assert report.startswith("### dev: the preview failed")
    assert "region = mars" in report
    assert "pulumi config set region europe-west1" in report


def service_of(life: Life) -> str:
    """Return the identifier of the Cloud Run service."""
    return next(name for name, (kind, _) in life.cloud.there.items() if "cloudrunv2/service:" in kind)


class BucketEngine(Engine):
    """An engine that reaches a bucket, by its emulator, and no backend but what its commands name."""

    address = ""

    @property
    def environment(self) -> dict[str, str]:
        """What a command sees: the emulator in place of Cloud Storage."""
        seen = {**super().environment, "STORAGE_EMULATOR_HOST": self.address, "GOOGLE_OAUTH_ACCESS_TOKEN": "of-nobody"}
        seen.pop("PULUMI_BACKEND_URL")
        return seen


GIVEN = {
    "PROJECT": "acme-search",
    "REGION": "europe-west1",
    "GITHUB_OWNER_ID": "1234",
    "GITHUB_REPOSITORY_ID": "56789",
    "YES": "1",
}


@pytest.mark.timeout(600)
def test_the_first_run_ends_with_its_own_state_in_the_bucket_that_it_made(tmp_path: Path) -> None:
    """The state is moved into the bucket and compared from there; what is left here is the stack's file alone.

    A second first run, which would make everything again, is refused.
    """

    async def story() -> None:
        """Serve the bucket while the first run goes on."""
        async with bucket_emulator(bucket="acme-search-qdrant-state") as url:
            await asyncio.to_thread(first_run, tmp_path, url)

    asyncio.run(story())


def first_run(folder: Path, url: str) -> None:
    """Walk through the first run against an emulator."""
    cloud = Cloud()
    with serving(cloud) as providers:
        engine = BucketEngine.over_copy(folder, providers)
        BucketEngine.address = url.removeprefix("http://")
        bootstrap = folder / "bootstrap"
        bootstrap.mkdir()
        for name in ("Pulumi.yaml", "__main__.py"):
            (bootstrap / name).write_text((ROOT / "bootstrap" / name).read_text())

        engine.make("bootstrap", **GIVEN).worked()
        made = dict(cloud.there)
        assert len(made) > 40
        assert not objects(url)

        moved = engine.make("bootstrap-move", SECRETS_PROVIDER="passphrase").worked()
        assert (
            "gh variable set GCP_DEPLOY_ACCOUNT --body qdrant-deploy@acme-search.iam.gserviceaccount.com" in moved.text
        )
        assert "gh variable set PULUMI_BACKEND_URL --body gs://acme-search-qdrant-state" in moved.text
        assert ".pulumi/stacks/qdrant-delivery/delivery.json" in objects(url)
        assert not (bootstrap / "state").exists()
        assert cloud.there == made

        again = engine.make("bootstrap", **GIVEN)
        assert again.code != 0
        assert "PULUMI_BACKEND_URL=gs://" in again.text
        assert engine.make("bootstrap-move").code != 0


def objects(url: str) -> set[str]:
    """Return the names in the emulator's bucket."""
    answer = requests.get(f"{url}/storage/v1/b/acme-search-qdrant-state/o", timeout=30).json()
    return {item["name"] for item in answer.get("items", [])}
