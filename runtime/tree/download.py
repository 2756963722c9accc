"""Bringing a version back: all of it in a new directory beside the target, every byte checked, then renamed.

Owns placing. The target is what it was or the whole version, whenever it is looked at; only where a directory is
replaced is there a moment, between two renames, in which there is none.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from runtime.errors import ConfigError, IntegrityError, ObjectMissing, RuntimeFailure
from runtime.repository.store import Store
from runtime.tree.disk import explained
from runtime.tree.entries import ROOT, File, Tree
from runtime.tree.together import together
from runtime.tree.versions import content_name

_PRIVATE = 0o700


async def download(store: Store, tree: Tree, target: Path, *, replace: bool) -> None:
    """Make `target` hold exactly the tree; one that holds something is refused without `replace`.

    Raises ConfigError, IntegrityError (the target is untouched), RuntimeFailure (the disk), StoreError.
    """
    target = target.absolute().resolve()
    with explained(target, "placed"):
        _refuse(target, replace=replace)
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_room(target.parent, tree.bytes)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
        try:
            await asyncio.to_thread(_make_directories, tree, fresh)

            async def fetch(path: str) -> None:
                await _fetch(store, tree.files[path], fresh / path)

            await together(tree.files, fetch)
            await asyncio.to_thread(_finish, tree, fresh)
            await asyncio.to_thread(_move, fresh, target, replace=replace)
        finally:
            await asyncio.to_thread(_remove, fresh)


def _refuse(target: Path, *, replace: bool) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target} is no directory", hint="Name a directory, or one that does not exist")
    if not replace and target.is_dir() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty", hint="Name a new directory, or say replace=True")


def _require_room(parent: Path, needed: int) -> None:
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise RuntimeFailure(
            f"{parent} has {free:,} bytes free, {needed:,} are needed", hint="Make room, or choose another disk"
        )


def _make_directories(tree: Tree, fresh: Path) -> None:
    for path in sorted(tree.directories, key=lambda path: path.count("/")):
        if path != ROOT:
            (fresh / path).mkdir(_PRIVATE)


async def _fetch(store: Store, file: File, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        sink = _Sink(descriptor)
        if file.size:
            await store.download(content_name(file.sha256), 0, file.size, sink)
        if (sink.size, sink.digest.hexdigest()) != (file.size, file.sha256):
            raise IntegrityError(
                f"{content_name(file.sha256)} in {store} is damaged: it is not what its name says",
                hint="Upload the directory again, or use another version",
            )
        os.fchmod(descriptor, file.mode)
        os.utime(descriptor, ns=(file.mtime_ns, file.mtime_ns))
        await asyncio.to_thread(os.fsync, descriptor)
    except ObjectMissing as error:
        raise IntegrityError(
            f"{content_name(file.sha256)} is missing from {store}", hint="Use another version"
        ) from error
    finally:
        os.close(descriptor)


def _finish(tree: Tree, fresh: Path) -> None:
    """Make the links, then give the directories their modes and times, from the innermost outwards."""
    for path, link in tree.links.items():
        (fresh / path).symlink_to(link.target)
        os.utime(fresh / path, ns=(link.mtime_ns, link.mtime_ns), follow_symlinks=False)
    for path in sorted(tree.directories, key=lambda path: -1 if path == ROOT else path.count("/"), reverse=True):
        entry = tree.directories[path]
        place = fresh if path == ROOT else fresh / path
        _flush(place)
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))
        place.chmod(entry.mode)


def _move(fresh: Path, target: Path, *, replace: bool) -> None:
    """Rename the finished directory to the target; an empty one there is replaced by that alone."""
    old = None
    if replace and target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
        target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        if old is not None:
            old.rename(target)
        raise
    _flush(target.parent)
    if old is not None:
        _remove(old)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a directory, also one whose parts nobody may write to."""
    with contextlib.suppress(OSError):
        folder.chmod(_PRIVATE)
        for place, names, _ in os.walk(folder):
            for name in names:
                if not Path(place, name).is_symlink():
                    Path(place, name).chmod(_PRIVATE)
    shutil.rmtree(folder, ignore_errors=True)


class _Sink:
    """Writes to a file what comes, and hashes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        self.digest.update(view)
        self.size += len(view)
        while view:
            view = view[os.write(self._descriptor, view) :]
