import re
import subprocess
from pathlib import Path

import pytest

from tests.delivery.fake_github import github
from tests.delivery.workflows import FOLDER, Step, Workflow, every_step, make_target, steps
from tests.delivery.workshop import Workshop
from tests.infra.generated import ROOT

DIGEST = "sha256:" + "c" * 64
REFERENCE = f"europe-west1-docker.pkg.dev/acme/qdrant-releases/qdrant@{DIGEST}"
SHELL = [step for step in every_step() if "run" in step.content]
# What an expression of GitHub's is by the time a step runs.
FILLED = {
    "vars.GCP_IMAGES": "europe-west1-docker.pkg.dev/acme/qdrant-releases",
    "github.repository": "Acme/Search",
    "github.sha": "0" * 40,
    "github.ref_name": "v1.2.3",
}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return a copy of the project with tools that take notes."""
    return Workshop.at(tmp_path)


def environment(step: Step) -> dict[str, str]:
    """Return a step's environment with every expression filled in."""

    def fill(match: re.Match[str]) -> str:
        return FILLED.get(match[1], REFERENCE if "reference" in match[1] else "")

    filled = {key: re.sub(r"\$\{\{ ([^}]+) \}\}", fill, value) for key, value in step.environment.items()}
    return {key: value for key, value in filled.items() if value}


def target(step: Step) -> str:
    """Return the target of a step."""
    named = make_target(step.content["run"])
    assert named
    return step.environment["TARGET"] if "TARGET" in named else named


@pytest.mark.parametrize("step", SHELL, ids=lambda step: step.where)
def test_every_step_of_a_shell_is_a_target_that_make_can_plan(step: Step, tmp_path: Path) -> None:
    """`make -n` knows each step's target and all that it needs, with the variables that the step has."""
    workshop = Workshop.at(tmp_path)
    done = workshop.make(target(step), "--dry-run", env=environment(step))

    assert done.code == 0, done.text


def test_all_steps_that_shells_run_are_looked_at() -> None:
    """The plan above covers more than twenty steps, the matrix of the night included."""
    assert {"soak", "mutations", "restore-drill", "deliver", "publish-release"} <= {target(step) for step in SHELL}
    assert len(SHELL) > 20


def test_the_version_of_pulumi_is_the_locked_sdk_s(workshop: Workshop) -> None:
    """The next step is handed the version that requirements/infra.txt has."""
    done = workshop.make("pulumi-version")
    locked = re.search(r"(?m)^pulumi==(\S+)", (ROOT / "requirements" / "infra.txt").read_text())

    assert locked
    assert done.outputs == f"version={locked[1]}\n"


def test_the_engine_is_copied_out_of_the_official_image(workshop: Workshop) -> None:
    """The image is the Dockerfile's, its binary is run once, and the container that was made for it is gone."""
    workshop.answers(
        "docker",
        'case "$1" in create) echo c1;; cp) printf "#!/bin/sh\\necho qdrant 1.19.0\\n" > "$4"; chmod +x "$4";; esac',
    )
    done = workshop.make("qdrant-binary")
    image = re.search(r"(?m)^ARG QDRANT_IMAGE=(\S+)", (ROOT / "Dockerfile.qdrant").read_text())

    assert image
    assert done.code == 0, done.text
    assert "qdrant 1.19.0" in done.text
    assert done.calls == [
        f"docker create {image[1]}",
        "docker cp --quiet c1:/qdrant/qdrant build/qdrant",
        "docker rm c1",
    ]


def test_google_s_registry_gets_a_token_that_no_process_list_shows(workshop: Workshop) -> None:
    """The token goes from gcloud to docker by a pipe."""
    workshop.answers("gcloud", "echo ya29.token")
    done = workshop.make("registry-login", env={"REGISTRY": "europe-west1-docker.pkg.dev/acme/qdrant-releases"})

    assert done.code == 0, done.text
    login = "docker login --username oauth2accesstoken --password-stdin europe-west1-docker.pkg.dev"
    assert login in done.calls
    assert "  got ya29.token" in done.calls
    assert not [call for call in done.calls if "ya29" in call and not call.startswith("  got")]


def test_another_registry_gets_the_token_of_the_environment(workshop: Workshop) -> None:
    """The token of the run goes in by a pipe, and is in no argument."""
    secret = {"REGISTRY": "ghcr.io", "REGISTRY_USER": "octo", "REGISTRY_TOKEN": "ghs-token"}
    done = workshop.make("registry-login", env=secret)

    assert done.calls == ["docker login --username octo --password-stdin ghcr.io", "  got ghs-token"]
    assert "ghs-token" not in done.text


def inspecting(*, there: str) -> str:
    """Return a docker that knows a tag only when it was pushed, or from the start."""
    return f"""case "$1 $2" in
  "buildx imagetools") [ -e pushed{there} ] || exit 1; [ "$5" = --format ] && echo {DIGEST}; exit 0;;
  "push --quiet") touch pushed;;
  "save "*) exit 1;;
esac"""


def test_a_commit_is_built_once(workshop: Workshop) -> None:
    """A tag that the registry has is not built again: its digest goes on, and the image is fetched to be scanned."""
    workshop.answers("docker", inspecting(there=" -o 1"))
    done = workshop.make("push", env={"REGISTRY": "ghcr.io/Acme/Search", "TAG": "abc"})

    name = "ghcr.io/acme/search/qdrant"
    assert done.code == 0, done.text
    assert not [call for call in done.calls if "build " in call or "docker push" in call]
    assert f"docker pull --quiet {name}:abc" in done.calls
    assert done.outputs == f"name={name}\ndigest={DIGEST}\nreference={name}@{DIGEST}\n"
    assert (workshop.folder / "build" / "pushed").read_text() == done.outputs


def test_an_image_that_is_too_large_is_not_pushed(workshop: Workshop) -> None:
    """When the size check fails, nothing is pushed and no digest is told."""
    workshop.answers("docker", inspecting(there=""))
    done = workshop.make("push", env={"REGISTRY": "ghcr.io/acme", "TAG": "abc"})

    assert done.code != 0
    assert [call for call in done.calls if call.startswith("docker build --file Dockerfile.qdrant")]
    assert not [call for call in done.calls if call.startswith("docker push")]
    assert done.outputs == ""


def test_the_scan_fails_with_the_scanner(workshop: Workshop) -> None:
    """High vulnerabilities that have a fix are asked for, and the scanner's verdict is the target's."""
    workshop.answers("grype", "exit 2")
    done = workshop.make("scan", env={"IMAGE": REFERENCE})

    assert done.code != 0
    assert done.calls == [f"grype {REFERENCE} --only-fixed --fail-on high"]


def test_the_sbom_is_of_the_very_image(workshop: Workshop) -> None:
    """What is in the image by digest is written where the attestation takes it from."""
    done = workshop.make("sbom", env={"IMAGE": REFERENCE})

    assert done.calls == [f"syft scan {REFERENCE} --output spdx-json=build/sbom.spdx.json"]
    attested = [s for s in steps(Workflow.read(FOLDER / "main.yml")) if "sbom-path" in s.content.get("with", {})]
    assert [step.content["with"]["sbom-path"] for step in attested] == ["build/sbom.spdx.json"]


def test_only_a_digest_is_signed(workshop: Workshop) -> None:
    """A reference by digest is signed without a key; one by tag is refused before anything is called."""
    signed = workshop.make("sign", env={"REFERENCE": REFERENCE})
    refused = workshop.make("sign", env={"REFERENCE": "ghcr.io/acme/qdrant:v1"})

    assert signed.calls == [f"cosign sign --yes {REFERENCE}"]
    assert refused.code != 0
    assert refused.calls == []


@pytest.mark.parametrize(("name", "tool"), [("scan", "grype"), ("sbom", "syft"), ("publish-release", "gh")])
def test_a_missing_tool_is_named_with_where_to_get_it(workshop: Workshop, name: str, tool: str) -> None:
    """Without its tool a target says which one it needs."""
    workshop.without(tool)
    done = workshop.make(name)

    assert done.code != 0
    assert f"{tool} is not on PATH. https://" in done.text


def test_the_last_pushed_image_is_the_one_that_is_delivered(workshop: Workshop) -> None:
    """A step in another container delivers what `make push` left in build/pushed; without it nothing is guessed."""
    unknown = workshop.make("deliver", "--dry-run")
    (workshop.folder / "build").mkdir()
    (workshop.folder / "build" / "pushed").write_text(f"name=n\nreference={REFERENCE}\n")
    done = workshop.make("deliver", "--dry-run", env={"STACK": "prod", "ACCOUNT": "a@b.c"})

    assert '--image ""' in unknown.text
    assert f'deliver --stack "prod" --image "{REFERENCE}" --account "a@b.c"' in done.text


def test_a_deployment_that_fails_fails_the_step_with_the_reason(workshop: Workshop) -> None:
    """When pulumi cannot deploy, the target fails, says so, and calls nothing after it."""
    workshop.answers("pulumi", 'case "$1" in stack) echo "{}";; up) echo "error: denied"; exit 255;; esac')
    done = workshop.make("deliver", env={"STACK": "dev", "REFERENCE": REFERENCE})

    assert done.code != 0
    assert "error: denied" in done.text
    assert "pulumi up failed with status 255" in done.text
    assert [call for call in done.calls if call.startswith("gcloud")] == []
    up = next(call for call in done.calls if call.startswith("pulumi up"))
    assert f"--refresh --non-interactive --color never --config image={REFERENCE}" in up


def test_previews_become_one_comment_that_is_renewed(workshop: Workshop) -> None:
    """The first run posts a comment with every stack, the second one changes it, and people's comments stay."""
    previews = workshop.folder / "build" / "preview"
    previews.mkdir(parents=True)
    (previews / "prod.md").write_text("### prod: nothing changes\n")
    (previews / "dev.md").write_text("### dev: 1 to update\n")
    with github() as fake:
        for index in range(130):
            fake.add(f"<!-- previews of qdrant-cloud-run --> quoted by a person, {index}")
        env = {"GITHUB_API_URL": fake.base, "GITHUB_REPOSITORY": "acme/search", "GITHUB_TOKEN": fake.token}
        first = workshop.make("preview-comment", env={**env, "PULL_REQUEST": "7"})
        (previews / "dev.md").write_text("### dev: 2 to update\n")
        second = workshop.make("preview-comment", env={**env, "PULL_REQUEST": "7"})
        denied = workshop.make("preview-comment", env={**env, "PULL_REQUEST": "7", "GITHUB_TOKEN": "other"})

    assert (first.code, second.code) == (0, 0), first.text + second.text
    assert [comment["user"]["type"] for comment in fake.comments].count("Bot") == 1
    body = fake.comments[-1]["body"]
    assert body.index("### dev: 2 to update") < body.index("### prod: nothing changes")
    assert all("quoted by a person" in comment["body"] for comment in fake.comments[:-1])
    assert denied.code != 0
    assert "answered 403: " in denied.text
    assert fake.token not in first.text + second.text


RELEASED = (
    "# Changelog\n\n## Unreleased\n\n## {version} - 2026-11-26\n\n### Added\n\n- A thing.\n\n## 0.0.1\n\n- Old.\n"
)


def released(workshop: Workshop, version: str) -> None:
    """Write a changelog and a version as they are when a release is tagged."""
    (workshop.folder / "CHANGELOG.md").write_text(RELEASED.format(version=version))
    project = workshop.folder / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', project.read_text()))


def test_a_release_is_published_with_its_own_notes(workshop: Workshop) -> None:
    """Tag, version and changelog agree: the release gets the section of its version, no more, and the SBOM."""
    released(workshop, "1.2.3")
    checked = workshop.make("release-check", env={"TAG": "v1.2.3"})
    notes = workshop.make("release-notes", "VERSION=1.2.3")
    published = workshop.make("publish-release", env={"TAG": "v1.2.3"})

    assert checked.code == 0, checked.text
    assert notes.text == "### Added\n\n- A thing.\n"
    assert (workshop.folder / "build" / "notes.md").read_text() == notes.text
    assert published.calls == [
        "gh release create v1.2.3 --verify-tag --title v1.2.3 --notes-file build/notes.md build/sbom.spdx.json"
    ]


@pytest.mark.parametrize(
    ("tag", "version", "told"),
    [
        ("v1.2.4", "1.2.3", "pyproject.toml says 1.2.3"),
        ("1.2.3", "1.2.3", "is not a release's tag"),
        ("v1.2.3; touch gone", "1.2.3", "is not a release's tag"),
        ("v1.2.3$(touch gone)", "1.2.3", "is not a release's tag"),
        ("--help", "1.2.3", "is not a release's tag"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(workshop: Workshop, tag: str, version: str, told: str) -> None:
    """Another version, another form, or a command in the tag's name stops the release and runs nothing."""
    released(workshop, version)
    done = workshop.make("release-check", env={"TAG": tag})

    assert done.code != 0
    assert told in done.text
    assert not (workshop.folder / "gone").exists()


def test_a_version_without_notes_is_refused(workshop: Workshop) -> None:
    """A release whose changes are still under Unreleased says what to rename."""
    released(workshop, "1.2.3")
    (workshop.folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- A thing.\n\n## 1.2.30\n\n- Other.\n"
    )
    done = workshop.make("release-check", env={"TAG": "v1.2.3"})

    assert done.code != 0
    assert "has no section '## 1.2.3'" in done.text


def test_a_key_in_a_file_is_found(workshop: Workshop) -> None:
    """A private key and a token of GitHub's are told by file; without them the same files pass."""
    subprocess.run(["git", "init", "--quiet"], cwd=workshop.folder, check=True)
    (workshop.folder / ".secrets.baseline").write_text((ROOT / ".secrets.baseline").read_text())
    kept = workshop.folder / "notes.txt"
    kept.write_text("nothing to hide\n")
    subprocess.run(["git", "add", ".secrets.baseline", "notes.txt", "Makefile"], cwd=workshop.folder, check=True)
    clean = workshop.make("secrets")
    kept.write_text(f"-----BEGIN {'RSA PRIVATE'} KEY-----\n{'gh' + 'p_'}{'Ab1' * 12}\n")
    found = workshop.make("secrets")

    assert clean.code == 0, clean.text
    assert found.code != 0
    assert "notes.txt" in found.text
    assert "Private Key" in found.text
    assert "GitHub Token" in found.text
