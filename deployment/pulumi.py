"""The Pulumi command line, as a delivery calls it.

Owns its arguments. A preview works on a copy of the stack's file, because Pulumi writes values that it is given on
the command line into the file; a deployment writes them there, so that what is verified next is the same.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployment.target import CannotCheckError

_QUIET: Final = ("--non-interactive", "--color", "never")
_PREVIEW_SECONDS: Final = 15 * 60
_DEPLOY_SECONDS: Final = 40 * 60
_UNKNOWN_STACK: Final = "no stack named"


@dataclass(frozen=True)
class Plan:
    """What a preview says: the engine's plan, empty where it made none, and what it complained about."""

    plan: dict[str, Any]
    complaint: str

    @property
    def worked(self) -> bool:
        """Whether the preview went through."""
        return not self.complaint


def outputs(stack: str) -> dict[str, Any]:
    """Return a stack's outputs, empty before its first deployment."""
    done = _run(["stack", "output", "--json", "--stack", stack], seconds=_PREVIEW_SECONDS)
    if done.returncode:
        known = f"Make it first: pulumi stack init {stack}. " if _UNKNOWN_STACK in done.stderr else ""
        raise CannotCheckError(f"{known}{done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def preview(stack: str, *, image: str, refresh: bool) -> Plan:
    """Return what a deployment would do, with an image by digest or (empty) the stack's own; change nothing.

    With refresh the cloud is read first, so that what somebody changed there shows as a change.
    """
    source = Path(f"Pulumi.{stack}.yaml")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / source.name
        if source.exists():
            shutil.copy(source, copy)
        given = ["--config", f"image={image}"] if image else []
        also = ["--refresh"] if refresh else []
        arguments = ["preview", "--stack", stack, "--json", "--config-file", str(copy), *given, *also]
        done = _run(arguments, seconds=_PREVIEW_SECONDS)
    plan = _json(done.stdout)
    told = [note["message"] for note in plan.get("diagnostics", []) if note.get("severity") == "error"]
    complaint = "\n".join([*told, done.stderr]).strip() or done.stdout
    return Plan(plan, complaint if done.returncode else "")


def up(stack: str, *, image: str) -> None:
    """Deploy an image, telling its progress; the cloud is read first, so that a rollback's traffic is undone."""
    command = ["pulumi", "up", "--stack", stack, "--yes", "--refresh", *_QUIET, "--config", f"image={image}"]
    try:
        done = subprocess.run(command, timeout=_DEPLOY_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CannotCheckError(
            f"pulumi up did not end within {_DEPLOY_SECONDS} s; pulumi cancel --stack {stack} unlocks the state"
        ) from None
    if done.returncode:
        raise CannotCheckError(f"pulumi up failed with status {done.returncode}; its output above tells why")


def _run(arguments: Sequence[str], *, seconds: int) -> subprocess.CompletedProcess[str]:
    command = ["pulumi", *arguments, *_QUIET]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise CannotCheckError("pulumi is not on PATH. Install it and sign in, then run this again.") from None
    except subprocess.TimeoutExpired:
        raise CannotCheckError(f"{' '.join(command)} did not end within {seconds} s.") from None


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
