"""One machine's directory as a place for objects: the blocking calls on the file system.

Owns what a kill at any instruction may leave behind, and how two processes keep out of each other's way:

- An object is a plain file under its name. It is written to `.store/tmp`, synced, and renamed into place,
  so it is there whole or not at all.
- Its generation is the file's modification time in nanoseconds, set by us before the rename and always
  above the one it replaces. So content and generation travel in one inode: no sidecar can disagree with the
  bytes, a reader that has the file open holds a matching pair, and somebody's edit by hand counts as the
  overwrite that it is.
- Check and rename happen under `flock` on `.store/lock`. The kernel lets go of it when the holder dies.
- CRC32C is kept in `.store/sums/NAME` together with size and generation. It is a cache: with another
  generation in it, or none, the sum is taken from the bytes again. `read` compares, which finds a flipped
  bit on the disk.
- A temporary file is locked by its writer; one that can be locked belongs to the dead and is removed.

Syncing: a kill -9 would lose nothing without it, since written pages belong to the kernel. It is for power
loss: the file before the rename, its folder after it, so that what was answered is on the disk and HEAD
never names a pack that is not. Durability beyond that disk is what a bucket is for.

Knows no asyncio and no caller's source or sink: OSErrors raised here are the file system's own.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from runtime.errors import IntegrityError, ObjectMissing, PreconditionFailed, StoreDenied
from runtime.repository.checksums import RunningCrc32c, crc32c_of
from runtime.repository.file_locks import create_locked, held, remove_abandoned
from runtime.repository.object_name import checked_name
from runtime.repository.store import ObjectInfo

PRIVATE = ".store"
# What a core's cache holds while it is read, hashed and written: with a megabyte, eight threads of a restore took twice
# the time of a processor that they take with this (measured).
READ_BYTES = 1 << 18
# Some file systems keep whole seconds only: a generation that did not rise is moved on by one.
COARSEST_CLOCK_NS = 1_000_000_000


class DirectoryFiles:
    """The files of one store, below `root`. Any number of processes may have one for the same root."""

    def __init__(self, root: Path, *, lock_seconds: float) -> None:
        self.root = root
        self._lock_seconds = lock_seconds

    def require_root(self) -> None:
        """Raise StoreDenied unless the directory exists: a wrong path is never an empty store."""
        if not self.root.is_dir():
            raise StoreDenied(
                f"There is no directory {self.root}",
                hint=f"Mount the volume it is on, or, for a first start, create it: mkdir -p '{self.root}'",
            )

    def path(self, name: str) -> Path:
        """Return where the object's file is."""
        if checked_name(name).split("/", 1)[0] == PRIVATE:
            raise StoreDenied(f"{name!r} is not for objects", hint=f"The store keeps its own files in {PRIVATE}")
        return self.root / name

    def info(self, name: str) -> ObjectInfo:
        """Return size, generation and checksum. Raises ObjectMissing."""
        with self.opened(name) as descriptor:
            return self._info_of(name, descriptor)

    def content(self, name: str) -> tuple[bytes, int]:
        """Return the bytes and the generation of one version, compared with the kept checksum."""
        with self.opened(name) as descriptor:
            found = os.fstat(descriptor)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read()
        kept = self._kept_sum(name, found)
        if kept is not None and kept != crc32c_of(data):
            raise IntegrityError(
                f"{self.root / name} is not what was written: its CRC32C differs",
                hint="The disk or somebody changed it; use an older backup and check the disk",
            )
        return data, found.st_mtime_ns

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """Open an object's file for reading, the descriptor closed afterwards. Raises ObjectMissing."""
        path = self.path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            self.require_root()
            raise ObjectMissing(f"No object {name!r} in file://{self.root}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[tuple[int, Path]]:
        """Open a file that nobody else sees; removed unless it was published."""
        self.require_root()
        folder = self.root / PRIVATE / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}-{time.monotonic_ns()}-{os.urandom(4).hex()}"
        with self._locked():
            remove_abandoned(folder)
            descriptor = create_locked(path)
        try:
            yield descriptor, path
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def publish(self, temporary: tuple[int, Path], name: str, crc32c: str, expected: int) -> ObjectInfo:
        """Give a finished temporary file its name if the generation there is `expected` (0: none there)."""
        descriptor, source = temporary
        target = self.path(name)
        stamp_above(descriptor, expected)
        # The long wait for the disk is before the lock; nothing of the file changes after it.
        os.fsync(descriptor)
        with self._locked():
            current = self._generation(target)
            if current != expected:
                raise PreconditionFailed(f"{name!r} has generation {current}, not {expected}")
            target.parent.mkdir(parents=True, exist_ok=True)
            found = os.fstat(descriptor)
            self._keep_sum(name, found, crc32c)
            source.rename(target)
        for folder in (target.parent, *target.parent.parents):
            sync_folder(folder)
            if folder == self.root:
                break
        return ObjectInfo(name, found.st_size, found.st_mtime_ns, crc32c)

    def remove(self, name: str, generation: int) -> None:
        """Remove that generation of an object; none there is no error."""
        self.require_root()
        target = self.path(name)
        with self._locked():
            current = self._generation(target)
            if current == 0:
                return
            if current != generation:
                raise PreconditionFailed(f"{name!r} has generation {current}, not {generation}")
            target.unlink()
            self._sum_path(name).unlink(missing_ok=True)
        sync_folder(target.parent)

    def walk(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose name starts with the prefix and sorts behind `after`, in name order."""
        self.require_root()
        folder = prefix.rpartition("/")[0]
        if folder:
            self.path(folder)
        yield from self._walk_folder(f"{folder}/" if folder else "", prefix, after)

    def _walk_folder(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self.root / folder) as entries:
                # A folder sorts as the names in it do: "a.txt" is before "a/b", because "." is before "/".
                names = sorted(f"{folder}{e.name}/" if e.is_dir() else f"{folder}{e.name}" for e in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name == f"{PRIVATE}/":
                continue
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk_folder(name, prefix, after)
            elif name.startswith(prefix) and name > after:
                # Deleted since the folder was read: as if it had been before.
                with contextlib.suppress(ObjectMissing):
                    yield self.info(name)

    def _info_of(self, name: str, descriptor: int) -> ObjectInfo:
        found = os.fstat(descriptor)
        crc32c = self._kept_sum(name, found)
        if crc32c is None:
            running = RunningCrc32c()
            while chunk := os.pread(descriptor, READ_BYTES, running.size):
                running.update(chunk)
            crc32c = running.encoded()
            # Kept for the next one, if this process may write; a reader's mount may not let it.
            with contextlib.suppress(OSError), self._locked():
                if self._generation(self.root / name) == found.st_mtime_ns:
                    self._keep_sum(name, found, crc32c)
        return ObjectInfo(name, found.st_size, found.st_mtime_ns, crc32c)

    def _generation(self, path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def _sum_path(self, name: str) -> Path:
        # A name that is also another's folder would collide with that folder: the ending keeps them apart.
        return self.root / PRIVATE / "sums" / f"{name}.crc32c"

    def _kept_sum(self, name: str, found: os.stat_result) -> str | None:
        try:
            size, crc32c, generation = self._sum_path(name).read_text().split()
        except (OSError, ValueError):
            return None
        return crc32c if (size, generation) == (str(found.st_size), str(found.st_mtime_ns)) else None

    def _keep_sum(self, name: str, found: os.stat_result, crc32c: str) -> None:
        path = self._sum_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The generation last: a line cut short by a kill names no generation that exists.
        path.write_text(f"{found.st_size} {crc32c} {found.st_mtime_ns}")

    def _locked(self) -> AbstractContextManager[None]:
        return held(self.root / PRIVATE / "lock", seconds=self._lock_seconds)


def stamp_above(descriptor: int, generation: int) -> None:
    """Set a file's modification time to now, or, with the clock behind, just above the generation."""
    wanted = max(time.time_ns(), generation + 1)
    os.utime(descriptor, ns=(wanted, wanted))
    if os.fstat(descriptor).st_mtime_ns <= generation:
        os.utime(descriptor, ns=(wanted + COARSEST_CLOCK_NS,) * 2)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
