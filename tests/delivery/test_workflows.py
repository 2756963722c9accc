import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.delivery.workflows import (
    ACTIONS,
    FILES,
    Step,
    Workflow,
    every_step,
    make_target,
    not_thin,
    unsafe_for_forks,
    without_pins,
    workflows,
)
from tests.infra.generated import ROOT

PAGE = ROOT / "docs" / "delivery.md"
SCHEMAS = [
    *(("vendor.github-workflows", path) for path in FILES),
    *(("vendor.github-actions", path) for path in ACTIONS),
    ("vendor.dependabot", ROOT / ".github" / "dependabot.yml"),
    ("vendor.cloudbuild", ROOT / "cloudbuild.yaml"),
]
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(("schema", "path"), SCHEMAS, ids=lambda value: getattr(value, "name", value))
def test_each_file_is_of_its_schema(schema: str, path: Any) -> None:
    """Workflows, actions, Dependabot's and Cloud Build's file have no key or type that their service refuses."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not on PATH, only our own rules were held")
def test_actionlint_finds_nothing() -> None:
    """Expressions, contexts, needs and shells are right in actionlint's eyes."""
    done = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", workflows(), ids=lambda workflow: workflow.name)
def test_a_fork_gets_nothing(workflow: Workflow) -> None:
    """No job with credentials, an environment or the right to write runs for a stranger's pull request."""
    assert unsafe_for_forks(workflow) == []


def planted(change: Change) -> Workflow:
    """Return the pull request's workflow with one thing changed."""
    content = copy.deepcopy(dict(Workflow.read(ROOT / ".github" / "workflows" / "pull-request.yml").content))
    change(content)
    return Workflow("planted", content)


def without_condition(job: str) -> Change:
    """Return a change that takes a job's condition away."""
    return lambda content: content["jobs"][job].pop("if")


def with_condition(condition: str) -> Change:
    """Return a change that gives the preview another condition."""
    return lambda content: content["jobs"]["preview"].update({"if": condition})


def with_part(job: str, **part: Any) -> Change:
    """Return a change that gives a job another part."""
    return lambda content: content["jobs"][job].update(part)


SAME = "github.event.pull_request.head.repo.full_name == github.repository"
LEAKS: dict[str, Change] = {
    "the preview without its condition": without_condition("preview"),
    "the comment without its condition": without_condition("comment"),
    "an alternative in the condition": with_condition(f"{SAME} || github.actor == 'me'"),
    "the condition denied": with_condition(f"!({SAME})"),
    "another repository compared": with_condition("github.repository == github.repository"),
    "only the variable asked for": with_condition("vars.GCP_WORKLOAD_IDENTITY_PROVIDER != ''"),
    "the condition of a step instead": with_condition("always()"),
    "a token to sign with": with_part("test", permissions={"id-token": "write"}),
    "the right to write": with_part("image", permissions={"packages": "write"}),
    "all rights": with_part("check", permissions="write-all"),
    "a secret": with_part("check", env={"KEY": "${{ secrets.KEY }}"}),
    "a secret by an index": with_part("check", env={"KEY": "${{ secrets['KEY'] }}"}),
    "every secret": with_part("check", env={"ALL": "${{ toJSON(secrets) }}"}),
    "a secret in a step": lambda content: content["jobs"]["test"]["steps"][-1].update(
        {"env": {"K": "${{ secrets.K }}"}}
    ),
    "a secret for the whole workflow": lambda content: content.update({"env": {"K": "${{ secrets.K }}"}}),
    "an environment": with_part("check", environment="dev"),
    "a runner of our own": with_part("check", **{"runs-on": ["self-hosted"]}),
    "a called workflow with our secrets": with_part("check", uses="./.github/workflows/x.yml", secrets="inherit"),
    "the repository's default rights": lambda content: (
        content.pop("permissions"),
        content["jobs"]["check"].pop("permissions"),
    ),
    "the target's credentials": lambda content: content.update({"on": {"pull_request_target": {}}}),
    "a run after a fork's": lambda content: content.update({"on": {"workflow_run": {"workflows": ["x"]}}}),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_that_is_planted_is_found(leak: str) -> None:
    """Each way to hand a fork something, made on purpose, is told."""
    assert unsafe_for_forks(planted(LEAKS[leak])) != []


def test_the_planted_leaks_start_from_a_safe_workflow() -> None:
    """The rule is silent on the unchanged workflow, so what it says of a planted one is about the change."""
    assert unsafe_for_forks(planted(lambda _content: None)) == []


@pytest.mark.parametrize("path", [*FILES, *ACTIONS], ids=lambda path: path.stem)
def test_every_action_is_pinned_by_a_commit_with_its_version_beside(path: Any) -> None:
    """A tag can be moved to other code; a commit cannot, and the comment tells people and Dependabot which it is."""
    text = path.read_text()
    content = yaml.safe_load(text)
    found = content["jobs"].values() if "jobs" in content else [content["runs"]]

    assert [fault for part in found for step in part["steps"] for fault in without_pins(step, text)] == []


@pytest.mark.parametrize(
    "uses", ["actions/checkout@v7", "actions/checkout@main", "actions/checkout", "actions/checkout@3d3c42e"]
)
def test_an_action_that_is_not_pinned_is_found(uses: str) -> None:
    """A tag, a branch, nothing, or a short commit is told."""
    assert without_pins({"uses": uses}, f"uses: {uses} # v7.0.0\n") != []


def test_one_action_has_one_version() -> None:
    """No action is used at two commits: an update that misses one place is seen."""
    used: dict[str, set[str]] = {}
    for step in every_step():
        action, _, ref = step.content.get("uses", "./").partition("@")
        if not action.startswith("./"):
            used.setdefault(action, set()).add(ref)

    assert used
    assert {action: refs for action, refs in used.items() if len(refs) > 1} == {}


@pytest.mark.parametrize("workflow", workflows(), ids=lambda workflow: workflow.name)
def test_every_job_ends_and_has_only_what_it_names(workflow: Workflow) -> None:
    """Nothing is permitted by default, each job names its permissions, has a time-out and a fixed system."""
    assert workflow.content["permissions"] == {}
    assert workflow.content["concurrency"]["group"]
    for job in workflow.jobs.values():
        assert 0 < job["timeout-minutes"] <= 120
        assert isinstance(job["permissions"], dict)
        assert not str(job["runs-on"]).endswith("latest")


def test_deployments_are_never_cut_off() -> None:
    """What holds the state's lock runs to its end; only a pull request's own runs replace each other."""
    cancelled = {workflow.name: workflow.content["concurrency"]["cancel-in-progress"] for workflow in workflows()}

    assert [name for name, cancels in cancelled.items() if cancels] == ["pull-request.yml"]


def test_prod_waits_for_dev_and_for_somebody() -> None:
    """Prod is deployed after dev was verified, the image being the same, and within an environment of its own."""
    jobs = Workflow.read(ROOT / ".github" / "workflows" / "main.yml").jobs

    assert jobs["prod"]["environment"] == "prod"
    assert set(jobs["prod"]["needs"]) == {"image", "dev"}
    assert jobs["prod"]["env"]["REFERENCE"] == jobs["dev"]["env"]["REFERENCE"]
    assert jobs["image"]["needs"] == "check"


@pytest.mark.parametrize("step", every_step(), ids=lambda step: step.where)
def test_every_shell_step_is_one_target(step: Step) -> None:
    """A step that runs a shell runs one target of make, with no expression put into it."""
    assert not_thin(step.content) == []


@pytest.mark.parametrize(
    "run", ["pip install x", "make test && curl x", "make test\nmake check", "make test STACK=${{ github.head_ref }}"]
)
def test_a_step_that_does_more_is_found(run: str) -> None:
    """Other commands, two targets, or a value that a stranger can write are told."""
    assert not_thin({"run": run}) != []


def test_checkouts_leave_no_token_behind() -> None:
    """No later step finds GitHub's token in the repository's configuration."""
    checkouts = [step for step in every_step() if "actions/checkout" in step.content.get("uses", "")]

    assert len(checkouts) > 8
    assert not [s.where for s in checkouts if s.content.get("with", {}).get("persist-credentials") is not False]


def test_every_path_that_is_named_is_there() -> None:
    """Local actions, cache keys, configurations and Dependabot's folders lead to files of the repository."""
    text = "".join(path.read_text() for path in [*FILES, *ACTIONS])
    patterns = [name for names in re.findall(r"hashFiles\(([^)]*)\)", text) for name in re.findall(r"'([^']+)'", names)]
    folders = [step.content["uses"] for step in every_step() if step.content.get("uses", "").startswith("./")]
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    watched = [place for update in updates for place in update.get("directories", [update.get("directory")])]

    assert patterns
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []
    assert [folder for folder in folders if not (ROOT / folder / "action.yml").exists()] == []
    assert [folder for folder in watched if not (ROOT / folder.strip("/")).is_dir()] == []


def declared(kind: str) -> set[str]:
    """Return the names in the first column of a table of docs/delivery.md."""
    section = PAGE.read_text().partition(f"<!-- {kind} -->")[2].partition(f"<!-- /{kind} -->")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("kind", ["vars", "secrets"])
def test_what_the_workflows_read_is_documented(kind: str) -> None:
    """docs/delivery.md lists exactly the variables and the secrets that a workflow names."""
    text = "".join(path.read_text() for path in [*FILES, *ACTIONS])

    assert declared(kind) == set(re.findall(rf"\b{kind}\.(\w+)", text))


def test_every_permission_is_documented() -> None:
    """docs/delivery.md lists exactly the permissions beyond reading that a job asks for, with the job."""
    wanted = {
        f"{workflow.name.removesuffix('.yml')}/{job}: {scope}"
        for workflow in workflows()
        for job, content in workflow.jobs.items()
        for scope, level in content["permissions"].items()
        if level != "read"
    }

    assert declared("permissions") == wanted


def test_environments_are_documented() -> None:
    """docs/delivery.md lists exactly the environments that jobs run in."""
    used = {job["environment"] for workflow in workflows() for job in workflow.jobs.values() if "environment" in job}

    assert declared("environments") == used


def test_cloud_build_runs_the_same_targets() -> None:
    """Each of its steps is one target, that GitHub's workflow of main runs too, with a time-out and known tools."""
    content = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    targets = [step["args"][0] for step in content["steps"]]
    main = Workflow.read(ROOT / ".github" / "workflows" / "main.yml")
    of_main = {make_target(step["run"]) for job in main.jobs.values() for step in job["steps"] if "run" in step}

    assert {step["entrypoint"] for step in content["steps"]} == {"make"}
    assert [step["id"] for step in content["steps"] if "timeout" not in step] == []
    assert targets == ["check", "test-real", "registry-login", "push", "scan", "deliver"]
    assert set(targets) <= of_main
    locked = re.search(r"(?m)^pulumi==(\S+)", (ROOT / "requirements" / "infra.txt").read_text())
    assert locked
    assert content["substitutions"]["_TOOLS"] == f"pulumi/pulumi:{locked[1]}"
    used = set(re.findall(r"\$(_[A-Z]+)", (ROOT / "cloudbuild.yaml").read_text()))
    assert used == set(content["substitutions"])
