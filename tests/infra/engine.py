"""The real Pulumi engine over a copy of the project, with a file backend and a cloud in memory.

Owns how the command line is called; its environment holds no credential, no Docker socket and no proxy.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.infra.generated import ROOT
from tests.infra.stacks import SECRETS

PASSPHRASE: Final = "a passphrase of the tests"
_COPIED: Final = (
    *("components", "runtime", "requirements", "__main__.py", "Dockerfile.qdrant"),
    *("Makefile", "make", "deployment"),
)
# For one command, several of which a target runs, on a machine that others use as well.
_TIMEOUT: Final = 300
_TARGET_TIMEOUT: Final = 600

# Whether to run it: where the command is on PATH, and where a pipeline demands it, found or not.
ENGINE: Final = shutil.which("pulumi") is not None or os.environ.get("PULUMI_REQUIRED") == "1"


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    text: str

    def worked(self) -> "Outcome":
        """Return this if the command succeeded, else fail with what it said."""
        if self.code:
            raise AssertionError(self.text)
        return self


@dataclass(frozen=True)
class Engine:
    """A project folder and the command line over it."""

    folder: Path
    providers: str

    @classmethod
    def over_copy(cls, folder: Path, providers: str) -> "Engine":
        """Copy the project into a folder and give it an empty backend."""
        for name in _COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        for stack_file in ROOT.glob("Pulumi*.yaml"):
            shutil.copy(stack_file, folder)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "state").mkdir()
        return cls(folder, providers)

    def stack(self, name: str, values: Mapping[str, str]) -> None:
        """Make a stack with a configuration, as its file would hold it."""
        self.run("stack", "init", name).worked()
        self.configure(name, values)

    def configure(self, name: str, values: Mapping[str, str]) -> None:
        """Set keys of a stack."""
        kinds = {key: "--secret" if key in SECRETS else "--plaintext" for key in values}
        pairs = [part for key, value in values.items() for part in (kinds[key], f"{key}={value}")]
        self.run("config", "set-all", "--stack", name, *pairs).worked()

    @property
    def environment(self) -> dict[str, str]:
        """What a command sees: no credential, no proxy, an empty home."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_DEBUG_PROVIDERS": self.providers,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def run(self, *arguments: str) -> Outcome:
        """Run pulumi."""
        return self.command("pulumi", *arguments, "--non-interactive", "--color", "never")

    def make(self, target: str, **variables: str) -> Outcome:
        """Run a target of make; what it needs installed is taken as installed, the tests run on it."""
        return self.command(
            "make",
            target,
            "-o",
            "setup",
            *(f"{name}={value}" for name, value in variables.items()),
            seconds=_TARGET_TIMEOUT,
        )

    def command(self, *command: str, seconds: int = _TIMEOUT) -> Outcome:
        """Run a command in the project's folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def preview(self, stack: str, *arguments: str) -> Outcome:
        """Preview a stack."""
        return self.run("preview", "--stack", stack, *arguments)

    def steps(self, stack: str) -> dict[str, str]:
        """Return what a preview would do to each resource, by name, the unchanged left out."""
        planned = json.loads(self.run("preview", "--stack", stack, "--json").worked().text)
        named = {step["urn"].rpartition("::")[2]: step["op"] for step in planned["steps"]}
        return {name: done for name, done in named.items() if done != "same"}

    def up(self, stack: str) -> Outcome:
        """Deploy a stack."""
        return self.run("up", "--stack", stack, "--yes", "--skip-preview")

    def destroy(self, stack: str) -> Outcome:
        """Destroy a stack."""
        return self.run("destroy", "--stack", stack, "--yes", "--skip-preview")

    def state(self, stack: str) -> Any:
        """Return a stack's state as the backend keeps it, secrets encrypted."""
        return json.loads(self.run("stack", "export", "--stack", stack).worked().text)
