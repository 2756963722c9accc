"""Engines for tests: the embedded one and, where `QDRANT_BIN` names it, the real one, started alike."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

START_SECONDS = 20.0
EMBEDDED = (sys.executable, "-m", "local.engine")
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reply:
    """An engine's answer: the status and the body, parsed if it is JSON."""

    status: int
    body: Any
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Engine:
    """A running engine on a folder of its own."""

    def __init__(self, argv: Sequence[str], folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "engine.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=self._environ(environ), stdout=log, stderr=subprocess.STDOUT
            )

    def _environ(self, environ: dict[str, str]) -> dict[str, str]:
        """Answer the environment: the machine's without any engine's settings, ours, the test's."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QDRANT")}
        return {
            **inherited,
            "PYTHONPATH": str(_REPOSITORY),
            "QDRANT__SERVICE__HTTP_PORT": str(self.http_port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__STORAGE__STORAGE_PATH": str(self.storage),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "2",
            "QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER": "1",
            "QDRANT__TELEMETRY_DISABLED": "true",
            **environ,
        }

    def wait_ready(self) -> None:
        """Return once the engine answers, or fail with what it logged."""

        def answers() -> bool:
            if self.process.poll() is not None:
                told = f"the engine ended with {self.process.returncode}:\n{self.log.read_text()}"
                raise AssertionError(told)
            try:
                return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(answers, START_SECONDS, f"ready; its log: {self.log.read_text()}")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = requests.request(
            method, self.url + path, json=body, headers={"Accept-Encoding": "identity", **named}, timeout=30
        )
        try:
            parsed = reply.json()
        except requests.JSONDecodeError:
            parsed = reply.text
        return Reply(reply.status_code, parsed, reply.content, {k.lower(): v for k, v in reply.headers.items()})

    def result(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request that must succeed; answer its result."""
        reply = self.call(method, path, body)
        assert reply.status == 200, f"{method} {path}: {reply.status} {reply.body}"
        return reply.body["result"]

    def points(self, collection: str) -> dict[int | str, Any]:
        """Answer every point with its vectors and payload, by id; in pages as small as strict mode may demand."""
        strict = self.result("GET", f"/collections/{quote(collection, safe='')}")["config"].get("strict_mode_config")
        limit = (strict or {}).get("max_query_limit") or 1000
        found: dict[int | str, Any] = {}
        offset = None
        while True:
            page = self.result(
                "POST",
                f"/collections/{quote(collection, safe='')}/points/scroll",
                {"limit": limit, "with_vector": True, "with_payload": True, "offset": offset},
            )
            found |= {point["id"]: point for point in page["points"]}
            offset = page["next_page_offset"]
            if offset is None:
                return found

    def kill(self) -> None:
        """End the engine as a power cut would, except for the disk."""
        self.process.kill()
        self.process.wait(START_SECONDS)

    def terminate(self) -> int:
        """Ask the engine to end; answer its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)


@contextmanager
def running(argv: Sequence[str], folder: Path, **environ: str) -> Iterator[Engine]:
    """Run an engine on `folder` until the block ends."""
    engine = Engine(argv, folder, environ)
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.kill()


def free_port() -> int:
    """Answer a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once `holds`, or fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
