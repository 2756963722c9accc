"""A collection of a backup as a stock Qdrant snapshot, for a Qdrant that knows nothing of this project.

Owns what such a file consists of and how it is put together while it is read: from packs to a file or an object, every
hash checked on the way, in bounded memory. What turns out damaged half-way never becomes visible.

The form was found out on 1.18.3 and 1.19.0: `{shard}/` before the shard's files, a segment's files below `files/`, the
collection's own files at the top. The same backup always gives the same bytes, so an export can be repeated.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.engine import storage as layout
from runtime.errors import IntegrityError, NothingThere, RuntimeFailure
from runtime.pipe import Pipe
from runtime.repository import names
from runtime.repository.catalogue import find
from runtime.repository.manifest import CollectionEntry
from runtime.repository.repository import Repository
from runtime.restore import runs
from runtime.run_sink import Progress, Target, extents
from runtime.tar import END_OF_ARCHIVE, padding
from runtime.tar_headers import header

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the snapshot is, of what, and what it came to."""

    backup: str
    collection: str
    points: int | None
    to: str
    bytes: int
    sha256: str


async def export(
    repository: Repository, collection: str, identifier: str | None, to: Path | None, progress: Progress
) -> Exported:
    """Write a collection as of a backup (the newest if None) to a file, or below `exports/` in the bucket.

    Raises NothingThere, IntegrityError (nothing is written then), StoreError.
    """
    name, manifest = await find(repository, identifier)
    entry = manifest.collections.get(collection)
    if entry is None:
        raise NothingThere(
            f"backup {names.manifest_id(name)} holds no collection {collection!r}",
            hint=f"It holds: {', '.join(sorted(manifest.collections)) or 'none'}",
        )
    made_at = dt.datetime.fromisoformat(manifest.created_at)
    output = _Output()
    writing = asyncio.create_task(_write(repository, output, to, names.export(collection, made_at)))
    try:
        await _read(repository, entry, output, progress, int(made_at.timestamp()))
    except BaseException as error:
        output.pipe.fail(error)
        await asyncio.wait({writing})
        with contextlib.suppress(Exception):  # the failure of reading is the cause of it
            writing.result()
        raise
    return Exported(
        names.manifest_id(name) or "", collection, entry.points, await writing, output.bytes, output.digest.hexdigest()
    )


class _Output:
    """What was put out so far."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.bytes = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.bytes += len(data)
        self.pipe.write(data)


async def _read(
    repository: Repository, entry: CollectionEntry, output: _Output, progress: Progress, mtime: int
) -> None:
    """Put the snapshot out, member by member, in the order in which the packs hold them."""
    wanted = [
        Target(Path(_stock_path(shard, path)), file)
        for shard, shard_entry in entry.shards.items()
        for path, file in shard_entry.files.items()
    ]
    progress.files, progress.bytes = len(wanted), sum(target.entry.stored for target in wanted)
    await asyncio.to_thread(output.write, _own_files(entry, mtime))
    for pack, run in runs(wanted):
        sink = _MemberSink(pack, run, output.write, mtime, progress)
        first, last = run[0].entry, run[-1].entry
        await repository.read_range(pack, first.offset, last.offset + last.stored - first.offset, sink)
        sink.finish()
    await asyncio.to_thread(output.write, END_OF_ARCHIVE)
    output.pipe.end()


def _own_files(entry: CollectionEntry, mtime: int) -> bytes:
    members = b""
    for name, text in sorted(entry.config.items()):
        data = text.encode()
        members += header(name, size=len(data), extents=[(0, len(data))], mtime=mtime)
        members += data + b"\0" * padding(len(data))
    return members


def _stock_path(shard: str, path: str) -> str:
    return f"{shard}/{layout.streamed(path)}"


class _MemberSink:
    """Turns a range of a pack into tar members."""

    def __init__(
        self, pack: str, run: list[Target], put: Callable[[bytes | memoryview], None], mtime: int, progress: Progress
    ) -> None:
        self._pack = pack
        self._put = put
        self._mtime = mtime
        self._progress = progress
        self._position = run[0].entry.offset
        self._targets = iter(run)
        self._target: Target | None = None
        self._left = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the range."""
        view = memoryview(data)
        self._go_on()
        while view and self._target is not None:
            skip = min(max(self._target.entry.offset - self._position, 0), len(view))
            part = view[skip : skip + self._left]
            self._digest.update(part)
            self._put(part)
            self._left -= len(part)
            self._position += skip + len(part)
            view = view[skip + len(part) :]
            self._go_on()

    def finish(self) -> None:
        """Check that every file of the range came whole."""
        self._go_on()
        if self._target is not None:
            raise IntegrityError(f"{self._pack} ended inside {self._target.path}")

    def _go_on(self) -> None:
        """Complete the member whose bytes have all come, and begin the next one."""
        while self._left == 0:
            if self._target is not None:
                self._complete(self._target)
            self._target = next(self._targets, None)
            if self._target is None:
                return
            entry = self._target.entry
            self._digest = hashlib.sha256()
            self._left = entry.stored
            self._put(header(str(self._target.path), size=entry.size, extents=extents(entry), mtime=self._mtime))

    def _complete(self, target: Target) -> None:
        if self._digest.hexdigest() != target.entry.sha256:
            raise IntegrityError(
                f"{self._pack} is damaged: {target.path} at {target.entry.offset} has a wrong hash",
                hint="`python -m runtime verify ID --deep` tells which backups are good",
            )
        self._put(b"\0" * padding(target.entry.stored))
        self._progress.files_done += 1
        self._progress.on_change()


async def _write(repository: Repository, output: _Output, to: Path | None, name: str) -> str:
    """Take what is put out to where it goes; return that. Nothing is there when it fails."""
    try:
        if to is None:
            await repository.store.upload(name, output.pipe)
            return f"{repository}/{name}"
        await asyncio.to_thread(_write_file, output.pipe, to)
    except BaseException as error:
        output.pipe.fail(error)
        raise
    return str(to)


def _write_file(source: Pipe, to: Path) -> None:
    try:
        with _new_file(to) as file:
            while data := source.read(_READ_BYTES):
                file.write(data)
    except OSError as error:
        raise RuntimeFailure(f"{to} cannot be written: {error.strerror or error}", hint="Name another file") from error


@contextlib.contextmanager
def _new_file(to: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is complete."""
    to.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{to.name}-", dir=to.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).rename(to)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
