from pathlib import Path

from pulumi.runtime.rpc import UNKNOWN

from components.choices import ImageSource
from components.sources import digest_of_sources
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV

GHCR = f"ghcr.io/acme/qdrant-cloud-run@sha256:{'a' * 64}"


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
        (tmp_path / name).write_text(name.swapcase())
        assert digest_of_sources(source) != before
