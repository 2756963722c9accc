"""An engine in memory, with the surface that backups and replicas use, and a replica that places into it.

A write is a file of its own in the one segment of its collection, so that a backup's files are the writes it holds:
the real tar reader, packs, increments and manifests carry them.
"""

import asyncio
import functools
import hashlib
import http.client
import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from runtime.edge.effects import Effect
from runtime.engine.process import Engine
from runtime.engine.stream import ShardStream
from runtime.errors import EngineError, IntegrityError
from runtime.journal.order import Entry
from runtime.journal.requests import Call
from runtime.replica import Placed, Replica
from runtime.repository.manifest import FileEntry, Manifest
from runtime.selection import Choice
from runtime.tar import END_OF_ARCHIVE

COLLECTIONS = ("books", "films")
VERSION = "1.19.0"
_NOTE = "segments/s/files/segment_manifest.json"

Contents = dict[str, frozenset[str]]


class Child:
    """A child process, as far as anybody looks at it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.exited.done()


class SimulatedEngine:
    """In place of `runtime.engine.process.Engine`."""

    def __init__(self, rng: random.Random) -> None:
        self.disk: dict[str, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self.admin = self
        self.child: Child | None = None
        self.stopping = False
        self._rng = rng

    def as_engine(self) -> Engine:
        """Return it as what it stands in for."""
        return cast(Engine, self)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.child is not None and self.child.running

    async def start(self) -> None:
        """Start on what the disk holds."""
        self.stopping = False
        child = Child("engine")
        await asyncio.sleep(0.05 + 0.2 * self._rng.random())
        self.child = child

    async def stop(self, *, grace_seconds: float) -> None:
        """End it at once."""
        del grace_seconds
        if self.child is not None:
            self.stopping = True
            self.die()
            self.child = None

    async def close(self) -> None:
        """Nothing to let go of."""

    def die(self) -> None:
        """End by itself; the disk stays."""
        if self.child is not None and self.child.running:
            self.child.exited.set_result(-9)

    def apply(self, collection: str, write: str, *, makes: bool) -> int:
        """Take a write; one that `makes` its collection needs none. Returns its number in its collection.

        Raises EngineError when it does not run.
        """
        self._must_run()
        if collection not in self.disk and not makes:
            raise EngineError(f"there is no collection {collection!r}")
        self.disk.setdefault(collection, set()).add(write)
        self._numbers[collection] = self._numbers.get(collection, -1) + 1
        return self._numbers[collection]

    def placed(self, disk: dict[str, set[str]]) -> None:
        """Hold other files; writes are numbered anew."""
        self.disk, self._numbers = disk, {}

    async def version(self) -> str:
        """Return its version."""
        self._must_run()
        return VERSION

    async def collections(self) -> list[str]:
        """Return the collections' names."""
        self._must_run()
        return sorted(self.disk)

    async def aliases(self) -> dict[str, str]:
        """There are none."""
        self._must_run()
        return {}

    async def count(self, collection: str) -> int:
        """Return how many writes a collection holds."""
        self._must_run()
        return len(self.disk[collection])

    def stream(self, collection: str, shard: str, known: Mapping[str, Any]) -> ShardStream | None:
        """Stream the writes that `known` does not list."""
        del shard
        self._must_run()
        there = self.disk[collection]
        listed = set(known["s"]["file_versions"]) if known else set()
        if known and listed == there:
            return None
        note = json.dumps({"segment_id": "s", "segment_version": 1, "file_versions": dict.fromkeys(sorted(there), 1)})
        members = [_member(f"segments/s/files/{write}", write.encode()) for write in sorted(there - listed)]
        body = b"".join((*members, _member(_NOTE, note.encode()), END_OF_ARCHIVE))
        connection = cast(http.client.HTTPConnection, io.BytesIO())
        return ShardStream(connection, cast(http.client.HTTPResponse, io.BytesIO(body)), collection)

    def _must_run(self) -> None:
        """Refuse to answer when it does not run."""
        if not self.running:
            raise EngineError("the engine does not run")


class SimulatedSender:
    """Does recorded writes again in a simulated engine, and notes what it did in which order."""

    def __init__(self, engine: SimulatedEngine, replayed: Callable[[str, Sequence[Entry]], None]) -> None:
        self._engine = engine
        self._replayed = replayed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def send(self, call: Call) -> None:
        """Apply what a request holds."""
        body = json.loads(call.body)
        operations = [operation["upsert"] for operation in body["operations"]] if "operations" in body else [body]
        await asyncio.sleep(0.005)
        for entry, operation in zip(call.entries, operations, strict=True):
            makes = entry.record.effect == Effect.REPLACE
            self._engine.apply(entry.record.collection or "", operation["w"], makes=makes)
        self._replayed(call.entries[0].record.collection or "", call.entries)


class SimulatedReplica(Replica):
    """The real replica, but the disk it places into is the simulated engine's."""

    engine: Any
    _version: str | None

    def set_aside(self) -> Path | None:
        """Find nothing: a new container's disk is empty."""
        return None

    async def _place_nothing(self) -> Placed:
        """Empty the disk."""
        self.engine.placed({})
        return Placed(Choice(None, None), 0, 0, 0.0)

    async def _place(self, choice: Choice) -> Placed:
        """Read every pack that the manifest names, and check each file."""
        if choice.manifest is None:
            return await self._place_nothing()
        packs: dict[str, list[tuple[str, str, FileEntry]]] = {}
        for name, path, entry in files(choice.manifest):
            packs.setdefault(entry.pack, []).append((name, path, entry))
        placed: dict[str, set[str]] = {name: set() for name in choice.manifest.collections}
        for pack, wanted in packs.items():
            data = io.BytesIO()
            end = max(entry.offset + entry.stored for _, _, entry in wanted)
            await self._repository.read_range(pack, 0, end, data)
            for name, path, entry in wanted:
                content = data.getvalue()[entry.offset : entry.offset + entry.stored]
                if hashlib.sha256(content).hexdigest() != entry.sha256:
                    raise IntegrityError(f"{pack} is damaged: {path} has a wrong hash")
                placed[name].add(content.decode())
        self.engine.placed(placed)
        return Placed(choice, 0, 0, 0.0)


def files(manifest: Manifest) -> list[tuple[str, str, FileEntry]]:
    """Return every file of a manifest: its collection, path and entry."""
    return [
        (name, path, entry)
        for name, collection in manifest.collections.items()
        for shard in collection.shards.values()
        for path, entry in shard.files.items()
    ]


def writes_of(disk: Mapping[str, set[str]]) -> set[str]:
    """Return all writes that a disk holds."""
    return set().union(*disk.values())


def make_layout(storage: Path) -> None:
    """Lay out what a backup reads of the storage directory beside the streams."""
    for name in COLLECTIONS:
        (storage / "collections" / name / "0").mkdir(parents=True, exist_ok=True)
        (storage / "collections" / name / "config.json").write_text("{}")


@functools.lru_cache(maxsize=10_000)
def _member(name: str, content: bytes) -> bytes:
    """Return a file as a tar holds it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content + b"\0" * (-len(content) % 512)
