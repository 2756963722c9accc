"""What is checked: a deployed stack, from its outputs.

Owns the reading of `pulumi stack output` and of tokens from gcloud, the two command lines that whoever
deploys has signed in to. Keeps no credential.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

_TIMEOUT: Final = 120
_NEEDED: Final = ("url", "service", "bucket", "image", "project", "region", "runtimeAccount")
_JOBS: Final = ("verifyJob", "pruneJob", "syncJob")

Run = Callable[[list[str]], str]


class CannotCheckError(Exception):
    """Something that the checks need is missing, here or in the stack; the message tells what to do."""


@dataclass(frozen=True)
class Target:
    """A deployed stack."""

    stack: str
    url: str
    service: str
    bucket: str
    image: str
    project: str
    region: str
    runtime_account: str
    jobs: tuple[str, ...]
    private: bool
    key_secret: str

    @classmethod
    def of_stack(cls, stack: str, run: Run) -> Self:
        """Read a stack's outputs."""
        outputs: Mapping[str, str] = json.loads(run(["pulumi", "stack", "output", "--json", "--stack", stack]))
        missing = [name for name in _NEEDED if not outputs.get(name)]
        if missing:
            raise CannotCheckError(
                f"stack {stack} has no output {', '.join(missing)}. Deploy it first: pulumi up -s {stack}"
            )
        return cls(
            stack=stack,
            url=outputs["url"],
            service=outputs["service"],
            bucket=outputs["bucket"],
            image=outputs["image"],
            project=outputs["project"],
            region=outputs["region"],
            runtime_account=outputs["runtimeAccount"],
            jobs=tuple(outputs[name] for name in _JOBS if outputs.get(name)),
            private="idTokenCommand" in outputs,
            key_secret=outputs.get("apiKeySecret", ""),
        )


def run_command(command: list[str]) -> str:
    """Return what a command prints, or raise CannotCheckError with what it complained about."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError:
        raise CannotCheckError(f"{command[0]} is not on PATH. Install it and sign in, then run this again.") from None
    except subprocess.TimeoutExpired:
        raise CannotCheckError(f"{' '.join(command)} did not end within {_TIMEOUT} s.") from None
    if done.returncode:
        raise CannotCheckError(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()
