"""Real instances: `python -m runtime serve` as a process of its own, watched from outside and never left behind.

Owns starting, waiting (always with a bound), what the log lines say, and the end of everything it started. Knows
nothing of what is written through them: that is `tests.support.workload`.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import psutil

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "local" / "engine" / "qdrant"
REAL_ENGINE = os.environ.get("QDRANT_BIN")
ROLE_SECONDS = 30.0
_POLL_SECONDS = 0.02
_TAIL_LINES = 60

# Short, so that tests are; every test may set its own.
_DEFAULTS = {
    "BACKUP_QUIET_SECONDS": "0.2",
    "BACKUP_MAX_AGE_SECONDS": "2",
    "HANDOVER_TIMEOUT_SECONDS": "1",
    "SHUTDOWN_BUDGET_SECONDS": "8",
    "GOOGLE_CLOUD_PROJECT": "tests",
}


def eventually(found: Callable[[], T | None], within: float, what: str) -> T:
    """Return the first result that is not None, False or empty; fail when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        result = found()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(_POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on: below those that the system gives to clients, who would take them again."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", random.SystemRandom().randrange(10_240, 32_768)))
                found.append(probe.getsockname()[1])
    return found


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; what nobody has collected yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def environment(**more: str) -> dict[str, str]:
    """Return what a program under test runs in: none of the caller's settings, the engine that is asked for."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "SSL_CERT_FILE") if name in os.environ}
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "QDRANT_BIN": REAL_ENGINE or str(EMBEDDED), **more}


@dataclass
class Instance:
    """One process; made by `Fleet.start`."""

    name: str
    process: subprocess.Popen[bytes]
    settings: Mapping[str, str]
    folder: Path
    started: float
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(timeout=30)

    @property
    def port(self) -> int:
        """The public port."""
        return int(self.settings["PORT"])

    @property
    def url(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.settings['PORT']}"

    @property
    def agent(self) -> str:
        """The agent's address."""
        return f"http://127.0.0.1:{self.settings['AGENT_PORT']}"

    @property
    def storage(self) -> Path:
        """The engine's storage directory."""
        return Path(self.settings["QDRANT_STORAGE_DIR"])

    @property
    def output(self) -> str:
        """Everything it and its children have printed."""
        return (self.folder / "output").read_text(errors="replace")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Return its log lines, or those of one event."""
        found = []
        for line in self.output.splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and "event" in entry and name in ("", entry["event"]):
                    found.append(entry)
        return found

    def event(self, name: str, *, after: int = 0, within: float = ROLE_SECONDS) -> dict[str, Any]:
        """Wait until an event was logged more than `after` times; return the newest."""
        return eventually(lambda: self.events(name)[after:] or None, within, f"event {name} in {self.name}")[-1]

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
        """Send one request to the public port."""
        return self.http.request(method, self.url + path, json=body, **more)

    def result(self, method: str, path: str, body: object = None) -> Any:
        """Send one request that must succeed; return its result."""
        answer = self.ask(method, path, body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()["result"]

    def health(self) -> dict[str, Any]:
        """Return what it says of itself."""
        facts: dict[str, Any] = httpx.get(f"{self.agent}/health", timeout=10).json()
        return facts

    def answers(self) -> bool:
        """Whether anything answers on the public port."""
        with contextlib.suppress(httpx.TransportError):
            return bool(self.ask("GET", "/").status_code)
        return False

    def has(self, role: str) -> bool:
        """Whether it serves in a role; fails when it has ended."""
        if (status := self.process.poll()) is not None:
            raise AssertionError(f"{self.name} ended with status {status}")
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{self.agent}/health", timeout=10)
            return bool(answer.json()["role"] == role)
        return False

    def wait_for(self, role: str, within: float = ROLE_SECONDS) -> Self:
        """Wait until it serves in a role."""
        eventually(lambda: self.has(role), within, f"{self.name} is {role}")
        return self

    def save(self) -> dict[str, Any]:
        """Have it save now."""
        answer = httpx.post(f"{self.agent}/api/snapshot", timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def children(self) -> dict[str, psutil.Process]:
        """Return its children by what they are: `engine` and `haproxy`."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                found["haproxy" if child.name() == "haproxy" else "engine"] = child
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def ended(self, within: float = ROLE_SECONDS) -> int:
        """Wait for its end; return its status."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {within:g} s") from None

    def terminate(self, within: float = ROLE_SECONDS) -> tuple[int, float]:
        """End it as Cloud Run does; return its status and how long it took."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        status = self.ended(within)
        return status, time.monotonic() - begun

    def kill(self) -> None:
        """Kill the program, nothing else: its children must follow by themselves."""
        orphans = list(self.children().values())
        self.process.kill()
        self.ended()
        eventually(lambda: all(map(is_gone, orphans)), 5, f"the children of {self.name} are gone: {orphans}")

    def __str__(self) -> str:
        tail = "\n".join(self.output.splitlines()[-_TAIL_LINES:])
        return f"== {self.name} (status {self.process.poll()})\n{tail}"


class Fleet:
    """All instances of a test, on one bucket unless a test says otherwise. Ends what is left of them."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {"BACKUP_URL": f"file://{folder}/bucket", **settings}
        self.instances: list[Instance] = []
        (folder / "bucket").mkdir(exist_ok=True)

    @property
    def bucket(self) -> Path:
        """The directory that is the bucket, where it is one."""
        return Path(self.settings["BACKUP_URL"].removeprefix("file://"))

    def start(self, *, role: str | None = "writer", inside: Sequence[str] = (), **settings: str) -> Instance:
        """Start an instance on an empty disk; wait for its role unless that is None.

        `inside`: a program and its arguments that become the instance once they have made its surroundings.
        """
        name = f"instance-{len(self.instances) + 1}"
        folder = self.folder / name
        folder.mkdir()
        port, agent, http, grpc = (str(port) for port in free_ports(4))
        values = {
            **_DEFAULTS,
            **self.settings,
            "PORT": port,
            "AGENT_PORT": agent,
            "QDRANT_HTTP_PORT": http,
            "QDRANT_GRPC_PORT": grpc,
            "QDRANT_STORAGE_DIR": str(folder / "storage"),
            **settings,
        }
        instance = self._run(folder, [*inside, sys.executable, "-m", "runtime", "serve"], values)
        return instance.wait_for(role) if role else instance

    def engine(self, storage: Path) -> Instance:
        """Start an engine alone on a storage directory: what a restored one is worth is what it holds."""
        folder = self.folder / f"engine-{len(self.instances) + 1}"
        folder.mkdir()
        http, grpc = (str(port) for port in free_ports(2))
        settings = {
            "PORT": http,
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": http,
            "QDRANT__SERVICE__GRPC_PORT": grpc,
            "QDRANT__STORAGE__STORAGE_PATH": str(storage),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(folder / "snapshots"),
        }
        engine = self._run(folder, [REAL_ENGINE or str(EMBEDDED)], settings)
        eventually(engine.answers, ROLE_SECONDS, "the engine is ready")
        return engine

    def _run(self, folder: Path, command: list[str], settings: dict[str, str]) -> Instance:
        """Start one process in a group of its own, its output in a file."""
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment(**settings),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        instance = Instance(folder.name, process, settings, folder, time.monotonic())
        self.instances.append(instance)
        return instance

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "runtime", *arguments],
            env=environment(**{**self.settings, **settings}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for instance in self.instances:
            instance.http.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(instance.process.pid, signal.SIGKILL)
            instance.process.wait()


def logs(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """Yield each instance's name and the tail of what it printed."""
    for instance in fleet.instances:
        yield instance.name, str(instance)
