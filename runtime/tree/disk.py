"""A directory tree on a local disk: looked at without following a link, hashed, and seen to have changed.

Owns reading. Sockets, pipes and devices are refused: they have no content. Owners, extended attributes, hard links
and the setuid, setgid and sticky bits are not kept.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.errors import ConfigError, RuntimeFailure
from runtime.repository.checksums import RunningCrc32c
from runtime.tree.entries import MOST_ENTRIES, PERMISSIONS, ROOT, Directory, File, Link, leads_out

READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file was changed, without reading it."""

    mode: int
    mtime_ns: int
    size: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a directory holds, files by their stamps. Two scans that are equal saw the same directory."""

    directories: dict[str, Directory]
    files: dict[str, Stamp]
    links: dict[str, Link]


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes: how many, SHA-256, and the CRC32C that a store states of them."""

    size: int
    sha256: str
    crc32c: str


class Changed(RuntimeFailure):
    """The directory was written to while it was read."""

    def __init__(self, root: Path, path: str) -> None:
        super().__init__(
            f"{root / path} was changed during the upload; nothing was committed",
            hint="Close whatever writes there, or upload a copy of the directory",
        )


def scan(root: Path) -> Scan:
    """Look at a directory. Raises ConfigError for what cannot be kept, RuntimeFailure for what cannot be read."""
    with explained(root, "read"):
        if not root.is_dir():
            raise ConfigError(f"{root} is no directory", hint="Name one that exists")
        own = root.stat()
        found = Scan({ROOT: Directory(own.st_mode & PERMISSIONS, own.st_mtime_ns)}, {}, {})
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if _note(found, root, path, entry):
                        waiting.append(path)
            if len(found.directories) + len(found.files) + len(found.links) > MOST_ENTRIES:
                raise ConfigError(f"{root} holds more than {MOST_ENTRIES:,} entries", hint="Upload its parts")
    return found


def _note(found: Scan, root: Path, path: str, entry: os.DirEntry[str]) -> bool:
    """Take one entry; say whether it is a directory."""
    told = entry.stat(follow_symlinks=False)
    mode = told.st_mode & PERMISSIONS
    if stat.S_ISDIR(told.st_mode):
        found.directories[path] = Directory(mode, told.st_mtime_ns)
        return True
    if stat.S_ISREG(told.st_mode):
        found.files[path] = Stamp(mode, told.st_mtime_ns, told.st_size, told.st_ctime_ns, told.st_ino)
    elif stat.S_ISLNK(told.st_mode):
        target = os.readlink(root / path)  # noqa: PTH115  a Path would tidy what the link says
        if reason := leads_out(path, target):
            raise ConfigError(
                f"the link {root / path} {reason}", hint="Only links that stay in the directory can be kept"
            )
        found.links[path] = Link(target, told.st_mtime_ns)
    else:
        raise ConfigError(f"{root / path} is no file, directory or link", hint="Remove the socket, pipe or device")
    return False


def content(root: Path, path: str, stamp: Stamp) -> Content:
    """Hash a file that is still what was seen. Raises Changed, RuntimeFailure."""
    with explained(root / path, "read"), opened(root, path) as descriptor:
        digest, passed = hashlib.sha256(), RunningCrc32c()
        while data := os.read(descriptor, READ_BYTES):
            digest.update(data)
            passed.update(data)
    if passed.size != stamp.size:
        raise Changed(root, path)
    return Content(passed.size, digest.hexdigest(), passed.encoded())


@contextlib.contextmanager
def opened(root: Path, path: str) -> Iterator[int]:
    """Open a file, never what a link leads to, never waiting for the other end of a pipe."""
    descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def entry(stamp: Stamp, what: Content) -> File:
    """Return a file as it is kept."""
    return File(stamp.mode, stamp.mtime_ns, what.size, what.sha256)


@contextlib.contextmanager
def explained(path: Path, verb: str) -> Iterator[None]:
    """Say which file the disk failed on."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise RuntimeFailure(
            f"{where} cannot be {verb}: {error.strerror or error}", hint="Look at the disk and at who may use the file"
        ) from error
