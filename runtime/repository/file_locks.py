"""Locks between processes that end with the process that holds them.

Owns `flock`: the kernel releases it when the holder dies, so no lock is ever stale. Knows no objects.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import StoreUnreachable

POLL_SECONDS = 0.002


@contextlib.contextmanager
def held(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold a lock file, waiting no longer than `seconds`; its folder is made if only that is missing."""
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + seconds
        # Polled, because a blocking flock has no deadline, and a holder may be stopped rather than dead.
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise StoreUnreachable(
                    f"{path} has been held by another process for {seconds:g} s",
                    hint="Find the process that is stopped or stuck (fuser, lsof) and end it",
                )
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def create_locked(path: Path) -> int:
    """Create a file that counts as in use until its descriptor is closed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    _lock(descriptor)
    return descriptor


def remove_abandoned(folder: Path) -> None:
    """Remove files made by `create_locked` whose writer is dead.

    To be called, as `create_locked`, under one lock: so none is between its creation and its own lock.
    """
    for path in folder.iterdir():
        # A living writer may be removing its own at this moment; it needs no lock for that.
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if _lock(descriptor):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
