"""A command as Cloud Run runs it in a job: a process of its own, on an empty disk, beside whoever serves."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import contract
from tests.support.instances import environment, free_ports

_SECONDS = 110.0


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code, what it printed, and the lines it logged."""

    code: int
    out: str
    err: str

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        found = []
        for line in (*self.out.splitlines(), *self.err.splitlines()):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == name:
                    found.append(entry)
        return found

    def errors(self) -> list[dict[str, Any]]:
        """Return the log lines that an alert on severity ERROR sees."""
        lines = [line for line in (*self.out.splitlines(), *self.err.splitlines()) if '"severity": "ERROR"' in line]
        return [json.loads(line) for line in lines]


def run_job(folder: Path, settings: Mapping[str, str], *arguments: str, job: bool = True) -> Ended:
    """Run a command to its end on a disk of its own below `folder`; `job`: marked as Cloud Run marks a job."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (contract.PORT, contract.AGENT_PORT, contract.QDRANT_HTTP_PORT, contract.QDRANT_GRPC_PORT)
    own = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    own[contract.QDRANT_STORAGE_DIR] = str(folder / "storage")
    if job:
        own[contract.IN_A_JOB] = "qdrant-dev-verify"
    done = subprocess.run(
        [sys.executable, "-m", "runtime", *arguments],
        env=environment(**{**settings, **own}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
