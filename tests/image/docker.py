"""Docker as the tests use it: one image built once, containers that end with their block."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import requests

from local.instance import Ports, free_ports

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile.qdrant"
IMAGE = "qdrant-cloud-run:test"
BASES = ("QDRANT_IMAGE", "BASE_IMAGE")


def docker(*arguments: str, seconds: float = 60) -> str:
    """Run one docker command and return what it prints; a failure says what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@cache
def why_not() -> str | None:
    """Return why the image cannot be built here; None when it can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no Docker daemon answers"
    for variable, image in base_images().items():
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
            return f"the image {image} is not at hand: pull it, or name another by {variable}"
    return None


def base_images() -> dict[str, str]:
    """Return the images that the build starts from: the Dockerfile's, or those named in the environment."""
    defaults = dict(re.findall(r"(?m)^ARG (\w+_IMAGE)=(\S+)", DOCKERFILE.read_text()))
    return {name: os.environ.get(name) or defaults[name] for name in BASES}


@cache
def built() -> str:
    """Build the image once, and return its name."""
    arguments = [f"--build-arg={name}={image}" for name, image in base_images().items()]
    flags = shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))
    docker("build", f"--file={DOCKERFILE}", f"--tag={IMAGE}", *arguments, *flags, str(ROOT), seconds=850)
    return IMAGE


def run_in(image: str, program: str, *arguments: str) -> str:
    """Run one program in a fresh container of the image, with no network, and return what it prints."""
    return docker("run", "--rm", "--network=none", f"--entrypoint={program}", image, *arguments)


class Container:
    """A running instance in a container, on the host's network."""

    def __init__(self, identifier: str, ports: Ports) -> None:
        self.id = identifier
        self.ports = ports
        self.url = f"http://127.0.0.1:{ports.public}"

    def health(self) -> dict[str, Any]:
        """Return what /health says; nothing while it does not answer."""
        try:
            answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.ports.agent}/health", timeout=5).json()
        except requests.RequestException:
            return {}
        return answer

    def wait_until_serving(self) -> None:
        """Return once it is the writer; fails with its log."""
        self.wait_until(lambda: self.health().get("role") == "writer", "serving")

    def wait_until_healthy(self) -> None:
        """Return once Docker's own check calls it healthy."""
        self.wait_until(lambda: self.state()["Health"]["Status"] == "healthy", "healthy")

    def wait_until(self, condition: Any, what: str, seconds: float = 60.0) -> None:
        """Poll until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            running = self.state()["Running"]
            assert running, f"ended before it was {what}: {self.log()}"
            assert time.monotonic() < deadline, f"not {what} after {seconds} s: {self.log()}"
            time.sleep(0.1)

    def wait_until_ended(self) -> None:
        """Return once it has ended by itself."""
        docker("wait", self.id)

    def state(self) -> dict[str, Any]:
        """Return Docker's own word on it."""
        found: dict[str, Any] = json.loads(docker("inspect", "--format={{json .State}}", self.id))
        return found

    def log(self) -> str:
        """Return everything it printed."""
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def kill(self) -> None:
        """SIGKILL: nothing gets a chance to say goodbye."""
        docker("kill", "--signal=KILL", self.id)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM, as Cloud Run does; returns its exit status and the seconds it took."""
        started = time.monotonic()
        docker("stop", "--time=10", self.id)
        return int(self.state()["ExitCode"]), time.monotonic() - started

    def count(self, collection: str) -> int:
        """Return how many points a collection has."""
        answer = requests.post(f"{self.url}/collections/{collection}/points/count", json={"exact": True}, timeout=10)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["result"]["count"])

    def put(self, path: str, body: Any) -> None:
        """Write something, and have it acknowledged."""
        answer = requests.put(self.url + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def container(image: str, bucket: str, *options: str) -> Iterator[Container]:
    """Run an instance with a read-only file system, an empty disk in memory, and no privilege at all."""
    ports = Ports(*free_ports(4))
    variables = {
        "PORT": ports.public,
        "AGENT_PORT": ports.agent,
        "QDRANT_HTTP_PORT": ports.rest,
        "QDRANT_GRPC_PORT": ports.grpc,
        "STORAGE_EMULATOR_HOST": bucket,
        "BACKUP_URL": "gs://backups/image",
        "BACKUP_QUIET_SECONDS": 1,
        "BACKUP_MAX_AGE_SECONDS": 5,
        "HANDOVER_TIMEOUT_SECONDS": 2,
    }
    identifier = docker(
        "run",
        "--detach",
        "--network=host",
        "--read-only",
        "--tmpfs=/data",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        *(f"--env={name}={value}" for name, value in variables.items()),
        *options,
        image,
    )
    try:
        yield Container(identifier, ports)
    finally:
        docker("rm", "--force", identifier)
