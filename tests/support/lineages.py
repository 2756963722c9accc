"""Backups made by an engine, through the runtime's own parts, without its edge: what the commands work on."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.backup import Backups
from runtime.composition import Base
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate
from runtime.engine.process import Engine
from runtime.follower import Follower
from runtime.instance import Instance
from runtime.journal.sender import Sender
from runtime.lineage import Lineage
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.open import open_store
from runtime.repository.repository import Repository
from runtime.scratch import running
from runtime.settings import Settings
from runtime.writing import Saved, Writing

EMBEDDED = Path(__file__).resolve().parents[2] / "local" / "engine" / "qdrant"


def free_ports(count: int) -> list[str]:
    """Return ports that nobody uses just now, no two the same."""
    with contextlib.ExitStack() as open_sockets:
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def environment(url: str, storage: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command or an instance, on ports of its own."""
    names = ("PORT", "AGENT_PORT", "QDRANT_HTTP_PORT", "QDRANT_GRPC_PORT")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    return {
        # The embedded engine is run by the interpreter that comes first on PATH.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BACKUP_URL": url,
        "QDRANT_BIN": os.environ.get("QDRANT_BIN", str(EMBEDDED)),
        "QDRANT_STORAGE_DIR": str(storage),
        "HANDOVER_TIMEOUT_SECONDS": "1",
        **ports,
        **more,
    }


class Workshop:
    """A writer: an engine, and the parts that save what is written to it."""

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings = settings
        self.repository = repository
        self.gate = Gate()
        self.lineage = Lineage(repository, "writer", timeout_seconds=1.0, outage="refuse", clock=time.monotonic)
        self.writing: Writing | None = None
        self.port = 0

    def begin(self, engine: Engine) -> None:
        """Take up the work."""
        backups = Backups(self.settings, engine, self.gate, self.repository)
        self.writing = Writing(self.settings, self.gate, self.lineage, backups)
        self.port = engine.admin.port

    async def call(self, method: str, path: str, body: object = None) -> object:
        """Ask the engine, past the gate, and count it as a write of anything."""
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = await asyncio.to_thread(ask, method, url, body)
        await self.gate.enter()
        self.gate.leave(Write(Effect.UNKNOWN), Outcome.APPLIED)
        return answer

    async def save(self) -> str:
        """Commit a backup; return its id."""
        assert self.writing is not None
        saved: Saved = await self.writing.save("test")
        assert saved.manifest is not None
        return saved.manifest.removeprefix("manifests/").removesuffix(".json")

    async def points(self, collection: str, ids: range) -> None:
        """Write points whose vectors tell their ids."""
        points = [{"id": n, "vector": [float(n), 1.0, 0.0, 0.5], "payload": {"n": n}} for n in ids]
        await self.call("PUT", f"/collections/{collection}/points?wait=true", {"points": points})


def ask(method: str, url: str, body: object = None) -> object:
    """Send JSON, return the answer's."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


@asynccontextmanager
async def workshop(variables: Mapping[str, str]) -> AsyncIterator[Workshop]:
    """Run a writer on a new lineage."""
    settings = Settings.from_env(variables)
    store = open_store(settings.effective_backup_url, emulator_host=settings.emulator_host, project=None)
    work = Workshop(settings, Repository(store))
    work.gate.admit()
    async with running(settings) as engine:
        work.begin(engine)
        await work.lineage.create()
        assert work.writing is not None
        work.writing.begin(Base(None, None, work.gate.written()), ())
        yield work
        await work.lineage.release()
    await store.close()


async def three_backups(variables: Mapping[str, str]) -> list[str]:
    """Make three backups of 20, 30 and 30 points in `books`; return their ids.

    The first also has `drafts`, the last `films` and the alias `library`.
    """
    made = []
    vectors = {"vectors": {"size": 4, "distance": "Cosine"}}
    async with workshop(variables) as work:
        await work.call("PUT", "/collections/books", vectors)
        await work.points("books", range(20))
        await work.call("PUT", "/collections/drafts", vectors)
        await work.points("drafts", range(3))
        made.append(await work.save())
        await work.call("DELETE", "/collections/drafts")
        await work.points("books", range(20, 30))
        made.append(await work.save())
        await work.call("PUT", "/collections/films", vectors)
        await work.points("films", range(5))
        action = {"create_alias": {"collection_name": "books", "alias_name": "library"}}
        await work.call("POST", "/collections/aliases", {"actions": [action]})
        made.append(await work.save())
    return made


class NoReads:
    """The way of reads, where nobody reads."""

    async def open_reads(self) -> None:
        """Do nothing."""

    async def close_reads(self) -> None:
        """Do nothing."""


class Served:
    """A running instance without an edge: it restores, claims, saves, hands over."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.settings = Settings.from_env(variables)
        self.repository = Repository(
            open_store(self.settings.effective_backup_url, emulator_host=self.settings.emulator_host, project=None)
        )
        gate = Gate()
        lineage = Lineage(self.repository, "served", timeout_seconds=1.0, outage="refuse", clock=time.monotonic)
        engine = Engine(self.settings, output=2)
        backups = Backups(self.settings, engine, gate, self.repository)
        replica = Replica(self.settings, engine, self.repository, NoReads())
        self.instance = Instance(
            self.settings,
            name="served",
            gate=gate,
            lineage=lineage,
            replica=replica,
            writing=Writing(self.settings, gate, lineage, backups),
            recovery=Recovery(gate, lineage, lambda: Sender(self.settings)),
            follower=Follower(self.repository, replica, "served", sender=lambda: Sender(self.settings), note=gate.note),
            clock=time.monotonic,
        )

    async def write(self, method: str, path: str, body: object) -> None:
        """Write as a client does, through the gate. Raises Refused."""
        gate = self.instance.gate
        await gate.confirm()
        await gate.enter()
        try:
            url = f"http://127.0.0.1:{self.settings.qdrant_http_port}{path}"
            await asyncio.to_thread(ask, method, url, body)
            await gate.confirm()
        finally:
            gate.leave(Write(Effect.UNKNOWN), Outcome.APPLIED)


@asynccontextmanager
async def served(variables: Mapping[str, str]) -> AsyncIterator[Served]:
    """Run an instance until the block ends."""
    running_one = Served(variables)
    instance = running_one.instance
    try:
        await instance.boot()
        tasks = [asyncio.create_task(instance.watch()), asyncio.create_task(instance.writing.run())]
        try:
            yield running_one
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await instance.finish(seconds=5)
    finally:
        await instance.replica.engine.stop(grace_seconds=0.3)
        await instance.replica.engine.close()
        await running_one.repository.store.close()
