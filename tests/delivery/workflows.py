"""The workflows as data, and what has to hold of each.

Each rule is a function over parsed YAML that returns what violates it, so that a test can hand it a violation made on
purpose and see it found.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.infra.generated import ROOT

FOLDER: Final = ROOT / ".github" / "workflows"
ACTIONS: Final = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
FILES: Final = sorted(FOLDER.glob("*.yml"))

# The one question that tells a fork's pull request from one of the repository's own branches.
_SAME_REPOSITORY: Final = "github.event.pull_request.head.repo.full_name == github.repository"
# Events by which a stranger starts a run of the workflow: a fork's pull request alone gets no secret by itself.
_OF_STRANGERS: Final = frozenset({"pull_request"})
# Events that run with the repository's credentials over what a stranger wrote: never.
_FORBIDDEN: Final = frozenset({"pull_request_target", "workflow_run", "issue_comment", "issues", "discussion_comment"})
_READ_ONLY: Final = frozenset({"read", "none"})


@dataclass(frozen=True)
class Workflow:
    """A workflow's name and content."""

    name: str
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Workflow":
        """Read a file; YAML 1.1 takes the key `on` for true, which is undone here."""
        content = yaml.safe_load(path.read_text())
        return cls(path.name, {("on" if key is True else key): value for key, value in content.items()})

    @property
    def events(self) -> frozenset[str]:
        """What starts it."""
        told = self.content["on"]
        return frozenset({told} if isinstance(told, str) else told)

    @property
    def jobs(self) -> Mapping[str, Any]:
        """Its jobs."""
        found: Mapping[str, Any] = self.content["jobs"]
        return found


@dataclass(frozen=True)
class Step:
    """A step where it stands: the file, the job, and the environment that it sees."""

    where: str
    content: Mapping[str, Any]
    environment: Mapping[str, str]


def workflows() -> list[Workflow]:
    """Return every workflow of the repository."""
    return [Workflow.read(path) for path in FILES]


def steps(workflow: Workflow) -> Iterator[Step]:
    """Return each step of a workflow, once for each combination of its job's matrix."""
    for name, job in workflow.jobs.items():
        for values in _combinations(job):
            for index, step in enumerate(job["steps"]):
                merged = {**workflow.content.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                known = {key: _filled(str(value), values) for key, value in merged.items()}
                yield Step(f"{workflow.name}: {name} {index}", step, known)


def every_step() -> list[Step]:
    """Return each step of every workflow and composite action."""
    composite = [
        Step(f"{path.parent.name} {index}", step, {})
        for path in ACTIONS
        for index, step in enumerate(yaml.safe_load(path.read_text())["runs"]["steps"])
    ]
    return [step for workflow in workflows() for step in steps(workflow)] + composite


def _combinations(job: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Return the values of a job's matrix, one combination after the other."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for values in itertools.product(*matrix.values()):
        yield dict(zip(matrix, map(str, values), strict=True))


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return text with the matrix's values in it."""
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda match: values[match[1]], text)


def unsafe_for_forks(workflow: Workflow) -> list[str]:
    """Return how a fork could get at what it must not have: credentials, an environment, or the right to write.

    A job that a pull request starts and that has any of these must not run unless the pull request is of the
    repository itself: its condition has that as one of the parts that all have to hold.
    """
    found = [f"runs on {event}" for event in sorted(workflow.events & _FORBIDDEN)]
    if not workflow.events & _OF_STRANGERS:
        return found
    given = workflow.content.get("permissions")
    for name, job in workflow.jobs.items():
        powers = _powers(job, given)
        if "env" in workflow.content:
            powers += _expressions(workflow.content["env"])
        if powers and not _only_own(str(job.get("if", ""))):
            found.append(f"{name} runs for forks with {', '.join(sorted(set(powers)))}")
    return found


def _powers(job: Mapping[str, Any], given: Any) -> list[str]:
    """Return what a job has that a fork's must not have."""
    permissions = job.get("permissions", given)
    if permissions is None:
        return ["the repository's default permissions"]
    if isinstance(permissions, str):
        powers = [] if permissions in ("read-all", "none") else [permissions]
    else:
        powers = [f"{scope}: {level}" for scope, level in permissions.items() if level not in _READ_ONLY]
    if "environment" in job:
        powers.append("an environment")
    if "uses" in job or job.get("secrets"):
        powers.append("a called workflow")
    if "self-hosted" in str(job.get("runs-on")):
        powers.append("a runner of our own")
    return powers + _expressions(job)


def _expressions(part: Any) -> list[str]:
    """Return the secrets that a part of a workflow names."""
    return re.findall(r"secrets(?:\.\w+|\[[^]]*\])|toJSON\(\s*secrets\s*\)", yaml.safe_dump(part))


def _only_own(condition: str) -> bool:
    """Whether a condition holds for the repository's own pull requests only: one of the parts joined by && says so."""
    plain = " ".join(condition.replace("${{", "").replace("}}", "").split())
    if "||" in plain:
        return False
    return _SAME_REPOSITORY in [part.strip(" ()") for part in plain.split("&&")]


def without_pins(step: Mapping[str, Any], text: str) -> list[str]:
    """Return why a step's action could change under us: not named by a commit, or by one that nobody can read."""
    uses = step.get("uses", "")
    if not uses or uses.startswith("./"):
        return []
    action, _, ref = uses.partition("@")
    if not re.fullmatch(r"[0-9a-f]{40}", ref):
        return [f"{action} is not pinned by a commit"]
    return (
        []
        if re.search(rf"{re.escape(uses)} # v\d+\.\d+\.\d+\n", text)
        else [f"{action} has no version beside its commit"]
    )


def make_target(run: str) -> str | None:
    """Return the target that a step runs, None where it is anything but one target of make."""
    found = re.fullmatch(r"make ([a-z][a-z-]*|\"\$TARGET\")", run.strip())
    return found[1] if found else None


def not_thin(step: Mapping[str, Any]) -> list[str]:
    """Return what a shell step does beside one target of make."""
    run = step.get("run")
    if run is None:
        return []
    faults = ["an expression in a shell: values come by the environment"] if "${{" in run else []
    return faults if make_target(run) else [*faults, f"not one target of make: {run.strip()}"]
