"""Taking a range of a pack apart into the files it holds.

Owns how stored bytes become a file with holes, and the check of each file's hash. One sink, one range, one thread.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import IntegrityError, RuntimeFailure
from runtime.repository.manifest import FileEntry
from runtime.write_size import WRITE_BYTES


@dataclass(frozen=True, slots=True)
class Target:
    """A file to be placed: where it goes, and what the manifest says of it."""

    path: Path
    entry: FileEntry


@dataclass(slots=True)
class Progress:
    """How far a restore is. Read by whoever shows it; written by the restore alone."""

    files: int = 0
    files_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    on_change: Callable[[], None] = field(default=lambda: None)


def extents(entry: FileEntry) -> Iterator[tuple[int, int]]:
    """Yield the (offset, length) pairs of a file that are not holes."""
    position = 0
    for start, length in entry.holes:
        if start > position:
            yield position, start - position
        position = start + length
    if entry.size > position:
        yield position, entry.size - position


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say which file could not be written, and why: the store's own errors must not be mistaken for this one."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = "The disk, or the memory it is made of, is full: give the instance more" if full else ""
        raise RuntimeFailure(f"{path} cannot be placed: {error.strerror}", hint=hint) from error


class RunSink:
    """Writes a range of a pack into its files, at the offsets their holes leave. Close it in the end."""

    def __init__(self, pack: str, run: list[Target], progress: Progress) -> None:
        self._pack = pack
        self._files = iter(run)
        self._progress = progress
        self._position = run[0].entry.offset
        self._descriptor: int | None = None
        self._target = run[0]
        self._extents: Iterator[tuple[int, int]] = iter(())
        self._offset = self._length = 0
        self._digest = hashlib.sha256()
        self._next_extent()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the range."""
        view = memoryview(data)
        while view and self._descriptor is not None:
            skip = min(max(self._target.entry.offset - self._position, 0), len(view))
            self._position += skip
            view = view[skip:]
            part = view[: min(self._length, WRITE_BYTES)]
            if not part:
                continue
            with explained(self._target.path):
                written = os.pwrite(self._descriptor, part, self._offset)
            self._digest.update(part[:written])
            self._offset += written
            self._length -= written
            self._position += written
            view = view[written:]
            self._progress.bytes_done += written
            if self._length == 0:
                self._next_extent()

    def finish(self) -> None:
        """Check that every file of the range came whole."""
        if self._descriptor is not None:
            raise IntegrityError(f"{self._pack} ended inside {self._target.path.name}")

    def close(self) -> None:
        """Let go of a file that was not finished."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _next_extent(self) -> None:
        """Go on to the next bytes to be written: of this file, or of the next one that stores any."""
        while True:
            extent = next(self._extents, None)
            if extent is not None:
                self._offset, self._length = extent
                return
            if self._descriptor is not None:
                self._complete()
            target = next(self._files, None)
            if target is None:
                return
            self._open(target)

    def _open(self, target: Target) -> None:
        with explained(target.path):
            self._create(target)

    def _create(self, target: Target) -> None:
        self._target = target
        target.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(target.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        os.ftruncate(self._descriptor, target.entry.size)
        self._digest = hashlib.sha256()
        self._extents = extents(target.entry)

    def _complete(self) -> None:
        self.close()
        entry = self._target.entry
        if self._digest.hexdigest() != entry.sha256:
            raise IntegrityError(
                f"{self._pack} is damaged: {self._target.path.name} at {entry.offset} has a wrong hash"
            )
        self._progress.files_done += 1
        self._progress.on_change()
