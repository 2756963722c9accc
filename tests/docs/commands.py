"""Is a line of the documentation something that a person can type? A table of programs, each with its check.

Owns what is checked without running it: `make` targets, the program's own commands and flags, configuration keys,
and the few commands of other programs, each with the reason why it is only looked at.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields

import click

from components.options import every_option
from runtime.cli import cli
from runtime.settings import Settings
from tests.docs.pages import ROOT
from tests.infra.recorder import bring_loop
from tests.infra.stacks import DEV, parse

VARIABLES = {item.metadata["variable"] for item in fields(Settings) if "variable" in item.metadata}
MAKEFILES = (ROOT / "Makefile", *sorted((ROOT / "make").glob("*.mk")))
TARGETS = {target for file in MAKEFILES for target in re.findall(r"(?m)^([a-z][a-z-]*):", file.read_text())}
OUTPUTS = set(re.findall(r'"(\w+)"(?:: |\] = |, )', (ROOT / "components" / "outputs.py").read_text()))
OUTPUTS |= set(re.findall(r'made\["(\w+)"\] = ', (ROOT / "__main__.py").read_text()))
OUTPUTS |= set(re.findall(r'pulumi\.export\(\s*"(\w+)"', (ROOT / "bootstrap" / "__main__.py").read_text()))
SECRET = frozenset(option.name for option in every_option() if option.secret)

# Variables that a page or make itself uses beside the container's.
OTHER_VARIABLES = {"URL", "STACK", "ENGINE", "CYCLES", "BASE_IMAGE", "QDRANT_IMAGE", "ONLY", "SOAK_SEED"}
OTHER_VARIABLES |= {"PULUMI_BACKEND_URL", "PROJECT", "REGION", "GITHUB_OWNER_ID", "GITHUB_REPOSITORY_ID"}
OTHER_VARIABLES |= {"REFERENCE", "REVISION", "VERSION"}

# Commands of other programs, by their first words, and why they are not run here.
LOOKED_AT: Mapping[str, str] = {
    "gcloud auth application-default login": "opens a browser",
    "gcloud auth print-identity-token": "needs a login",
    "gcloud logging read": "needs a project",
    "gcloud run services describe": "needs a project",
    "gcloud run services update-traffic": "needs a project",
    "gcloud run revisions list": "needs a project",
    "gcloud run jobs execute": "needs a project",
    "gcloud builds triggers create github": "needs a project that is connected to a repository",
    "gh api": "needs a login",
    "gh attestation verify": "needs an image that a workflow signed",
    "cosign verify": "needs an image that a workflow signed",
    "cd bootstrap": "a folder of this repository",
    "docker run": "needs the image, which tests/image builds and runs where Docker is",
    "source .venv/bin/activate": "the tests run in that environment already",
    "curl": "what is asked is on the instance that other blocks ask",
    "pulumi login --local": "tests/infra logs in to a folder of its own",
    "pulumi stack init": "tests/infra makes stacks of its own",
    "pulumi stack output": "run in tests/infra; the output's name is checked",
    "pulumi stack export": "tests/delivery moves a state by it",
    "pulumi stack import": "tests/delivery moves a state by it",
    "pulumi cancel": "gives up the lock of a deployment that was cut off",
    "pulumi state delete": "takes a thing out of the state of a stack that is deployed",
    "pulumi preview": "run in tests/infra",
    "pulumi up": "run in tests/infra",
    "pulumi destroy": "run in tests/infra",
}
# Flags of the commands above that the pages use: read in each program's own help.
FLAGS = {
    *("--header", "--silent", "--freshness", "--limit", "--region", "--to-latest", "--to-revisions", "--service"),
    *("--read-only", "--tmpfs", "--cap-drop", "--security-opt", "--publish", "--env", "--local", "--stack"),
    *("--jq", "--repo", "--certificate-oidc-issuer", "--certificate-identity-regexp", "--wait", "--require-approval"),
    *("--name", "--repo-owner", "--repo-name", "--branch-pattern", "--build-config", "--service-account"),
    *("--substitutions", "--diff"),
    *("--policy-pack", "--refresh", "--expect-no-changes", "--secrets-provider", "--secret"),
}


class NoSuchCommandError(AssertionError):
    """A line that nobody can type; the message says why."""


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a block: continued lines joined, comments left out, `&&` and pipes taken apart."""
    for line in text.replace("\\\n", " ").splitlines():
        bare = re.sub(r"(^|\s)#(?!\S*[\"']).*$", "", line).strip()
        while (inner := re.search(r"\$\(([^()]*)\)", bare)) is not None:
            yield from commands(inner[1])
            bare = bare.replace(inner[0], "ANSWER")
        for part in re.split(r"\s&&\s|\s\|\|?\s", bare):
            if part.strip() and part.strip() != "ANSWER":
                yield part.strip()


def check(command: str, stack: dict[str, str] | None = None) -> None:
    """Raise NoSuchCommandError for what cannot be typed; `stack` holds what a block's earlier lines have set."""
    words = shlex.split(command.replace("…", "ELLIPSIS"))
    while words and re.fullmatch(r"\w+=.*", words[0]):
        _variable(words.pop(0).partition("=")[0])
    if not words:
        return
    if words[:3] == ["pulumi", "config", "set"]:
        _config(words[3:], {} if stack is None else stack)
    else:
        CHECKS.get(words[0], _looked_at)(words)


def _variable(name: str) -> None:
    """Refuse a variable that nobody reads."""
    if name not in VARIABLES | OTHER_VARIABLES and not name.startswith("QDRANT__"):
        raise NoSuchCommandError(f"there is no variable {name}")


def _export(words: Sequence[str]) -> None:
    """Check the variables that are set."""
    for word in words[1:]:
        _variable(word.partition("=")[0])


def _make(words: Sequence[str]) -> None:
    """Check targets and variables of make."""
    for word in words[1:]:
        if "=" in word:
            _variable(word.partition("=")[0])
        elif word not in TARGETS:
            raise NoSuchCommandError(f"the Makefile has no target {word}")


def _python(words: Sequence[str]) -> None:
    """Check a command of the runtime."""
    if list(words[1:3]) != ["-m", "runtime"]:
        raise NoSuchCommandError("only `python -m runtime …` is known: use make for the rest")
    _parse(words[3:])


def _parse(arguments: Sequence[str]) -> None:
    """Parse a command's arguments as the runtime does."""
    if list(arguments) == ["--help"]:
        return
    words = [word for word in arguments if not word.startswith((">", "2>", "&"))]
    command = cli.commands.get(words[0]) if words else None
    if command is None:
        raise NoSuchCommandError(f"`python -m runtime` has no command {words[:1]}")
    try:
        command.make_context(words[0], words[1:])
    except click.ClickException as error:
        raise NoSuchCommandError(f"python -m runtime {' '.join(words)}: {error.format_message()}") from error


def _pulumi(words: Sequence[str]) -> None:
    """Check what is asked of a stack."""
    if words[1:3] == ["config", "rm"]:
        _key(words[3])
    elif words[1:3] == ["stack", "output"] and not OUTPUTS.issuperset(words[3:4]):
        raise NoSuchCommandError(f"a stack has no output {words[3]}")
    else:
        _looked_at(words)


def _key(key: str) -> None:
    """Refuse a key that a stack does not have."""
    if not re.search(rf"(?m)^  {re.escape(key)}:$", (ROOT / "Pulumi.yaml").read_text()):
        raise NoSuchCommandError(f"Pulumi.yaml has no key {key}")


def _config(words: Sequence[str], stack: dict[str, str]) -> None:
    """Check a value together with those set before it."""
    secret, (key, *value) = "--secret" in words, [word for word in words if word != "--secret"]
    _key(key)
    if not value and not secret:
        raise NoSuchCommandError(f"{key} is set to nothing")
    if secret != (key in SECRET):
        raise NoSuchCommandError(f"{key} is {'no' if secret else 'a'} secret")
    needed = {"monitoring": "true"} if key == "alertEmails" else {}
    stack[key] = (value or ["k" * 32])[0].replace("OWNER", "acme")
    bring_loop()  # a secret is one of Pulumi's outputs
    parse({**DEV, **needed, **stack}, secret=SECRET & stack.keys())


def _looked_at(words: Sequence[str]) -> None:
    """Refuse a program or a flag that nobody read up."""
    line = " ".join(words)
    if not any(line == known or line.startswith(f"{known} ") for known in LOOKED_AT):
        raise NoSuchCommandError(
            f"{words[0]!r} is neither checked nor known: add it to LOOKED_AT in tests/docs/commands.py with the reason"
        )
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - FLAGS
    if unknown:
        raise NoSuchCommandError(f"{line}: {', '.join(sorted(unknown))} not among the flags that somebody read up")


CHECKS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "export": _export,
    "make": _make,
    "python": _python,
    "pulumi": _pulumi,
}
