"""A copy of what the targets need, with tools on PATH that note how they were called.

The tools are real programs that stand in for docker, gcloud, grype, syft, cosign, gh and pulumi; make, its shell and
the project's own Python are what they are.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.generated import ROOT

_COPIED: Final = (
    *("Makefile", "make", "pyproject.toml", "CHANGELOG.md", "Dockerfile.qdrant"),
    *("requirements", "policy", "release", "deployment", "local"),
)
TOOLS: Final = ("docker", "gcloud", "grype", "syft", "cosign", "gh", "pulumi")
_TOOL: Final = """#!/bin/bash
line="${0##*/}$(printf ' %s' "$@")"
printf '%s\\n' "$line" >> "$CALLS"
read -r -t 20 given && printf '  got %s\\n' "$given" >> "$CALLS"
answer="$ANSWERS/${0##*/}"
[ -x "$answer" ] && exec "$answer" "$@"
exit 0
"""


@dataclass(frozen=True)
class Done:
    """How a target ended, what it said, and which tools it called how."""

    code: int
    text: str
    calls: list[str]
    outputs: str


@dataclass(frozen=True)
class Workshop:
    """The copy's folder."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> "Workshop":
        """Make one."""
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "answers").mkdir()
        tools = folder / "tools"
        tools.mkdir()
        for name in TOOLS:
            (tools / name).write_text(_TOOL)
            (tools / name).chmod(0o755)
        return cls(folder)

    def answers(self, tool: str, script: str) -> None:
        """Let a tool do something, as a shell script."""
        path = self.folder / "answers" / tool
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def without(self, tool: str) -> None:
        """Take a tool away."""
        (self.folder / "tools" / tool).unlink()

    def make(self, target: str, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a target; what it needs installed is taken as installed."""
        calls, outputs = self.folder / "calls", self.folder / "outputs"
        for path in (calls, outputs):
            path.write_text("")
        environment = {
            "PATH": f"{self.folder}/tools:/usr/bin:/bin",
            "HOME": str(self.folder),
            "CALLS": str(calls),
            "ANSWERS": str(self.folder / "answers"),
            "GITHUB_OUTPUT": str(outputs),
            **({"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]} if "LD_LIBRARY_PATH" in os.environ else {}),
            **(env or {}),
        }
        old = [part for name in ("setup", "policy", "haproxy", ".venv/.base", ".venv/.infra") for part in ("-o", name)]
        done = subprocess.run(
            ["make", *old, target, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout + done.stderr, calls.read_text().splitlines(), outputs.read_text())
