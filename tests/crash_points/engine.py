"""An engine on a real storage directory, without its process: what it holds is the files that lie there.

Streams shards as the real one does (changed files, every segment's manifest, `files/` in between), and like the real
one deletes a segment that was placed with that level left in and starts as if nothing were wrong.
"""

import asyncio
import hashlib
import http.client
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from runtime.engine.process import Engine
from runtime.engine.stream import ShardStream
from runtime.errors import EngineError
from runtime.tar import END_OF_ARCHIVE

VERSION = "1.19.0"

State = dict[str, str]
# What a state calls the aliases; everything else in it is a collection's.
ALIASES = "aliases"


class Child:
    """A child process, as far as anybody looks at it."""

    def __init__(self) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class DiskEngine:
    """In place of `runtime.engine.process.Engine`."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.admin = self
        self.child: Child | None = None
        self.stopping = False
        self._numbers: dict[str, int] = {}

    def as_engine(self) -> Engine:
        """Return it as what it stands in for."""
        return cast(Engine, self)

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return self.child is not None

    async def start(self) -> None:
        """Start on what lies there; its own files appear beside it, as a real engine's do."""
        await asyncio.sleep(0.05)
        (self.storage / "collections").mkdir(parents=True, exist_ok=True)
        for shard in self._shards():
            for segment in os.scandir(shard / "segments") if (shard / "segments").exists() else ():
                if os.path.exists(f"{segment.path}/files"):  # noqa: PTH110  hundreds of thousands of times
                    shutil.rmtree(segment)
            (shard / "wal").mkdir(exist_ok=True)
            (shard / "wal" / "open-1").write_bytes(b"of this run")
        self.child, self.stopping = Child(), False

    async def stop(self, *, grace_seconds: float) -> None:
        """End at once."""
        del grace_seconds
        self.child = None

    async def close(self) -> None:
        """Nothing to let go of."""

    async def version(self) -> str:
        """Return its version."""
        return VERSION

    async def collections(self) -> list[str]:
        """Return the collections' names."""
        self._must_run()
        return sorted(path.name for path in (self.storage / "collections").iterdir())

    async def aliases(self) -> dict[str, str]:
        """Return every alias with its collection."""
        self._must_run()
        file = self.storage / "aliases" / "data.json"
        return cast("dict[str, str]", json.loads(file.read_text())) if file.exists() else {}

    async def count(self, collection: str) -> int:
        """Return how many points a collection holds: one a file."""
        folder = self.storage / "collections" / collection
        return sum(entry.is_file() for segment in folder.glob("*/segments/*") for entry in os.scandir(segment))

    def apply(self, what: str, arguments: Mapping[str, Any]) -> int | None:
        """Do what a request asks for, again and again to the same end; return a point's number in its collection."""
        self._must_run()
        getattr(self, what)(**arguments)
        if what not in {"put", "delete"}:
            return None
        collection = arguments["collection"]
        self._numbers[collection] = self._numbers.get(collection, -1) + 1
        return self._numbers[collection]

    def create(self, collection: str, shards: int = 1) -> None:
        """Make a collection."""
        self._must_run()
        folder = self.storage / "collections" / collection
        for shard in range(shards):
            (folder / str(shard) / "segments").mkdir(parents=True, exist_ok=True)
            (folder / str(shard) / "newest_clocks.json").write_text("{}")
        (folder / "config.json").write_text(json.dumps({"params": {"shard_number": shards}}))

    def put(self, collection: str, point: str, content: str, shard: int = 0) -> None:
        """Write a point; its first letter is its segment."""
        self._must_run()
        segment = self.storage / "collections" / collection / str(shard) / "segments" / f"s-{point[0]}"
        segment.mkdir(exist_ok=True)
        (segment / point).write_text(content)

    def delete(self, collection: str, point: str, shard: int = 0) -> None:
        """Delete a point, if it is there."""
        self._must_run()
        folder = self.storage / "collections" / collection / str(shard) / "segments" / f"s-{point[0]}"
        (folder / point).unlink(missing_ok=True)

    def drop(self, collection: str) -> None:
        """Delete a collection, if it is there."""
        self._must_run()
        shutil.rmtree(self.storage / "collections" / collection, ignore_errors=True)
        self._numbers.pop(collection, None)

    def alias(self, aliases: Mapping[str, str]) -> None:
        """Set the aliases."""
        self._must_run()
        (self.storage / "aliases").mkdir(exist_ok=True)
        (self.storage / "aliases" / "data.json").write_text(json.dumps(dict(aliases)))

    def recover(self, collection: str, point: str, content: str) -> None:
        """Put another collection in a collection's place, as from a snapshot: it holds one point."""
        self.drop(collection)
        self.create(collection)
        self.put(collection, point, content)

    def state(self) -> State:
        """Return everything that a backup keeps, by its path below the storage directory."""
        found: State = {}
        for name in os.listdir(self.storage / "collections"):  # noqa: PTH208  names are what is wanted
            found |= self.state_of(name)
        return found | self.state_of(ALIASES)

    def state_of(self, part: str) -> State:
        """Return what of the state belongs to one collection, or is the aliases: a few files, after every write."""
        if part == ALIASES:
            file = self.storage / "aliases" / "data.json"
            aliases = json.loads(file.read_text()) if file.exists() else {}
            return {ALIASES: json.dumps(aliases, sort_keys=True)}
        found: State = {}
        folder = self.storage / "collections" / part
        if folder.is_dir():
            _read(str(folder), part, found)
        return found

    def stream(self, collection: str, shard: str, known: Mapping[str, Any]) -> ShardStream | None:
        """Stream the files that differ from what `known` says, and every segment's manifest."""
        self._must_run()
        folder = self.storage / "collections" / collection / shard
        members, notes = [_member("newest_clocks.json", (folder / "newest_clocks.json").read_bytes())], {}
        for segment in sorted((folder / "segments").iterdir()):
            contents = {path.name: path.read_bytes() for path in sorted(segment.iterdir())}
            versions = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}  # noqa: S324
            note = {"segment_id": segment.name, "segment_version": len(versions), "file_versions": versions}
            before = known.get(segment.name, {}).get("file_versions", {})
            at = f"segments/{segment.name}/files"
            for name, content in contents.items():
                if before.get(name) != versions[name]:
                    members.append(_member(f"{at}/{name}", content))
            members.append(_member(f"{at}/segment_manifest.json", json.dumps(note).encode()))
            notes[segment.name] = note
        if known and notes == known:
            return None
        body = b"".join((*members, END_OF_ARCHIVE))
        connection = cast(http.client.HTTPConnection, io.BytesIO())
        return ShardStream(connection, cast(http.client.HTTPResponse, io.BytesIO(body)), collection)

    def _shards(self) -> list[Path]:
        """Return every shard's folder."""
        return [path for path in (self.storage / "collections").glob("*/*") if path.is_dir()]

    def _must_run(self) -> None:
        """Refuse to answer when it does not run."""
        if not self.running:
            raise EngineError("the engine does not run")


def _read(folder: str, at: str, found: State) -> None:
    """Add every file below a folder, but for a log's; by hand, since millions of them are read."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                file = os.open(entry.path, os.O_RDONLY)
                found[f"{at}/{entry.name}"] = os.read(file, entry.stat().st_size).decode()
                os.close(file)
            elif entry.name != "wal":
                _read(entry.path, f"{at}/{entry.name}", found)


def _member(name: str, content: bytes) -> bytes:
    """Return a file as a tar holds it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content + b"\0" * (-len(content) % 512)
