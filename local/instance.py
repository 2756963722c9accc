"""One instance on this machine, as a process of its own: started, asked, killed.

Owns its environment, its folder and its end. Used by the demo and the benchmarks.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

EMBEDDED_ENGINE = Path(__file__).with_name("engine") / "qdrant"

_POLL_SECONDS = 0.02
_REPOSITORY_ROOT = Path(__file__).resolve().parents[1]


class InstanceFailed(Exception):
    """The instance ended, or did not become what it should in time; the end of its log is in the message."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The four ports of an instance."""

    public: int
    agent: int
    rest: int
    grpc: int


class LocalInstance:
    """A running `python -m runtime serve`."""

    def __init__(self, process: subprocess.Popen[bytes], ports: Ports, folder: Path) -> None:
        self.process = process
        self.ports = ports
        self.folder = folder

    @property
    def url(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.ports.public}"

    def health(self) -> dict[str, Any]:
        """Return what /health says, or nothing while it does not answer."""
        try:
            answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.ports.agent}/health", timeout=5).json()
        except requests.RequestException:
            return {}
        return answer

    def wait_until(self, what: str, *, role: str = "writer", saved: bool = False, seconds: float = 60.0) -> float:
        """Wait until it has a role, and with `saved` until nothing is unsaved. Returns the seconds it took."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if self.process.poll() is not None:
                break
            health = self.health()
            if health.get("role") == role and not (saved and health["backup"]["unsaved_writes"]):
                return time.monotonic() - started
            time.sleep(_POLL_SECONDS)
        raise InstanceFailed(f"The instance did not get as far as: {what}\n{self.log_tail()}")

    def snapshot(self) -> dict[str, Any]:
        """Make it save now."""
        answer: dict[str, Any] = requests.post(f"http://127.0.0.1:{self.ports.agent}/api/snapshot", timeout=600).json()
        return answer

    def kill(self) -> None:
        """SIGKILL the supervisor: nothing gets a chance to say goodbye; its children go with it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM it and wait; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def delete_disk(self) -> None:
        """Delete everything it had on disk."""
        shutil.rmtree(self.folder / "storage", ignore_errors=True)

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def local_instance(folder: Path, backup_url: str, engine: Path, **environment: str) -> Iterator[LocalInstance]:
    """Run an instance whose disk is `folder`; it is killed at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(*free_ports(4))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime", "serve"],
            env=_environment(ports, folder, backup_url, engine, environment),
            cwd=_REPOSITORY_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    instance = LocalInstance(process, ports, folder)
    try:
        yield instance
    finally:
        if process.poll() is None:
            instance.kill()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def _environment(ports: Ports, folder: Path, backup_url: str, engine: Path, more: Mapping[str, str]) -> dict[str, str]:
    interpreter = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join((interpreter, os.environ.get("PATH", os.defpath), "/usr/sbin")),
        "HOME": os.environ.get("HOME", "/"),
        "PORT": str(ports.public),
        "AGENT_PORT": str(ports.agent),
        "QDRANT_HTTP_PORT": str(ports.rest),
        "QDRANT_GRPC_PORT": str(ports.grpc),
        "QDRANT_BIN": str(engine),
        "QDRANT_STORAGE_DIR": str(folder / "storage"),
        "BACKUP_URL": backup_url,
        # Where Docker is, for the engine that runs in it.
        **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
        **more,
    }
