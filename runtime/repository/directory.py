"""A directory as the store, for one machine: `file:///dir`.

Owns the Protocol's promises on top of `directory_files`, which owns the file system.

The directory must exist, as a bucket must: a mistyped path or a volume that is not mounted is StoreDenied
(exit 6), never "no backup". Whoever wants a first start makes the directory (`mkdir -p`, or `create()`,
which makes the last part only). An empty mount point cannot be told from a first start, so a store on a
mounted volume belongs in a folder below the mount point: unmounted, that folder is missing and the start
fails.

Objects can be read by other tools (`tar xf` on a pack); `directory_files` says how they are written.
"""

import contextlib
import errno
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    PreconditionFailed,
    StoreDenied,
    StoreUnreachable,
)
from runtime.repository.checksums import RunningCrc32c
from runtime.repository.directory_files import DirectoryFiles
from runtime.repository.read_ahead import ReadAhead
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo
from runtime.repository.threads import Abort, DaemonThreads, StoreThreads
from runtime.write_size import WRITE_BYTES

T = TypeVar("T")

LIST_PAGE = 256
THREADS = 8
# The disk is to write while the source is read, not only in the end.
SYNCED_BYTES = 64 << 20


class _AtHand:
    """A small object as what is written: one chunk."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.passed = RunningCrc32c()

    def chunks(self) -> Iterator[tuple[memoryview, bool]]:
        """Yield the chunk, which is the last."""
        self.passed.update(self._data)
        yield memoryview(self._data), True


class DirectoryStore:
    """A Store in a directory. Several processes on the machine may use it at once."""

    def __init__(self, root: Path, *, deadline_seconds: float = 20.0) -> None:
        self._files = DirectoryFiles(root.absolute(), lock_seconds=deadline_seconds)
        self._threads = StoreThreads("directory-store", THREADS)
        self._readers = DaemonThreads("directory-read-ahead", THREADS)
        # A wait for the lock must end with its own, better explained, error.
        self._seconds = 2 * deadline_seconds

    def __str__(self) -> str:
        return f"file://{self._files.root}"

    async def create(self) -> bool:
        """Make the directory if it is missing, in a parent that exists; say whether it was."""

        def make() -> bool:
            try:
                self._files.root.mkdir()
            except FileExistsError:
                return False
            return True

        return await self._call(make)

    async def read(self, name: str) -> tuple[bytes, int]:
        """Return content and generation of one version (see Store)."""
        return await self._call(lambda: self._files.content(name))

    async def stat(self, name: str) -> ObjectInfo:
        """Return size, generation and checksum (see Store)."""
        return await self._call(lambda: self._files.info(name))

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Create a small object (see Store)."""
        return await self._threads.stream(lambda abort: self._create(name, _AtHand(data), abort))

    async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Replace that generation (see Store). What it raises is certain here: no reply can be lost."""
        return await self._threads.stream(lambda abort: self._write(name, _AtHand(data), generation, abort))

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Create an object from a stream (see Store): two buffers in memory, one pass over the bytes."""

        def run(abort: Abort) -> ObjectInfo:
            with ReadAhead(source, abort, self._readers) as ahead:
                return self._create(name, ahead, abort)

        return await self._threads.stream(run)

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver a range (see Store). The sink gets one reused buffer and must not keep it."""
        await self._threads.stream(lambda abort: self._deliver(name, offset, length, sink, abort))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what is there, in name order (see Store)."""
        objects = self._files.walk(prefix, after)
        while page := await self._call(lambda: list(itertools.islice(objects, LIST_PAGE))):
            for info in page:
                yield info

    async def delete(self, name: str, generation: int) -> None:
        """Delete that generation (see Store)."""
        await self._call(lambda: self._files.remove(name, generation))

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.close()
        self._readers.close()

    async def _call(self, call: Callable[[], T]) -> T:
        def run(_: Abort) -> T:
            with self._explained():
                return call()

        return await self._threads.run(run, seconds=self._seconds, what=str(self))

    def _create(self, name: str, content: ReadAhead | _AtHand, abort: Abort) -> ObjectInfo:
        try:
            return self._write(name, content, 0, abort)
        except PreconditionFailed:
            with self._explained():
                there = self._files.info(name)
            if (there.size, there.crc32c) == (content.passed.size, content.passed.encoded()):
                return there
            raise AlreadyExists(f"{name!r} is in {self} already, with other content") from None

    def _write(self, name: str, content: ReadAhead | _AtHand, expected: int, abort: Abort) -> ObjectInfo:
        unsynced = 0
        with contextlib.ExitStack() as stack:
            with self._explained():
                self._files.path(name)
                temporary = stack.enter_context(self._files.temporary())
            # Not explained: what the source raises is the caller's own and passes unchanged.
            for chunk, _ in content.chunks():
                abort.check()
                with self._explained():
                    write_all(temporary[0], chunk)
                    unsynced += len(chunk)
                    if unsynced >= SYNCED_BYTES:
                        os.fdatasync(temporary[0])
                        unsynced = 0
            abort.check()
            with self._explained():
                return self._files.publish(temporary, name, content.passed.encoded(), expected)

    def _deliver(self, name: str, offset: int, length: int, sink: ByteSink, abort: Abort) -> None:
        with contextlib.ExitStack() as stack:
            with self._explained():
                descriptor = stack.enter_context(self._files.opened(name))
                size = os.fstat(descriptor).st_size
            if offset + length > size:
                raise IntegrityError(
                    f"{name!r} in {self} has {size} bytes, but {offset + length} are needed",
                    hint="It was cut; use an older backup",
                )
            buffer = memoryview(bytearray(min(WRITE_BYTES, length)))  # sinks write it to a file
            end = offset + length
            while offset < end:
                abort.check()
                with self._explained():
                    count = os.preadv(descriptor, [buffer[: end - offset]], offset)
                if count == 0:
                    raise IntegrityError(f"{name!r} in {self} ended early at {offset}", hint="It was cut meanwhile")
                sink.write(buffer[:count])
                offset += count

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._files.require_root()
            reason = f"{self}: {error.strerror or error}"
            if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise StoreDenied(reason, hint="Give this user the right to write there") from error
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreUnreachable(reason, hint="Make room on that disk, or prune old backups") from error
            raise StoreUnreachable(reason, hint="Look at the disk and the path") from error


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it: one call may take less, near a full disk or a limit."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:WRITE_BYTES]) :]
