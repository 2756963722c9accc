"""Qdrant's own snapshots as files, for other tools: `<timestamp>-<collection>.snap`, one for each collection.

Owns their creation, download and names. They are no backups: nothing here restores them, nothing removes them, and
on a disk that is memory they cost memory. The incremental backups are `runtime.backup`.
"""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.engine.admin import Admin
from runtime.errors import ConfigError, EngineError
from runtime.logs import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    """What one collection came to: `completed` with its file, `failed` with why, or `skipped`."""

    collection: str
    status: str
    file: str | None = None
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None


def prepare(folder: Path) -> None:
    """Make the folder if it is missing. Raises ConfigError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"QDRANT_SNAPSHOT_DIR {folder} cannot be written: {error.strerror}",
            hint="Set it to a folder this user may write, or QDRANT_SNAPSHOT_ON_START=false",
        ) from error


async def write_snapshots(admin: Admin, folder: Path, *, only: Iterable[str], reason: str) -> list[Target]:
    """Write a snapshot of each collection, one after the other (of `only`, if it names any); never raises for one."""
    prepare(folder)
    wanted = frozenset(only)
    try:
        names = await admin.collections()
    except EngineError as error:
        log.exception("snapshot.failed", message=f"No snapshot was written: {error}", reason=reason)
        return []
    return [
        await _write(admin, folder, name, reason) if not wanted or name in wanted else Target(name, "skipped")
        for name in names
    ]


async def _write(admin: Admin, folder: Path, collection: str, reason: str) -> Target:
    started = time.monotonic()
    moment = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%fZ")
    file = folder / f"{moment}-{collection}.snap"
    try:
        name = await admin.create_snapshot(collection)
        try:
            size = await _download(admin, collection, name, file)
        finally:
            with contextlib.suppress(EngineError):  # its copy goes with the storage directory at the latest
                await admin.delete_snapshot(collection, name)
    except (EngineError, OSError) as error:
        message = f"No snapshot of collection {collection} was written: {error}"
        log.exception("snapshot.failed", message=message, collection=collection, reason=reason)
        return Target(collection, "failed", seconds=round(time.monotonic() - started, 3), error=str(error))
    seconds = round(time.monotonic() - started, 3)
    message = f"Snapshot of collection {collection} written to {file}"
    log.info("snapshot.written", message=message, collection=collection, bytes=size, seconds=seconds, reason=reason)
    return Target(collection, "completed", str(file), size, seconds)


async def _download(admin: Admin, collection: str, name: str, file: Path) -> int:
    """Return the file's size. It has its name only once it is whole; what was cut short is deleted."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        size = await admin.download_snapshot(collection, name, partial)
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
    return size
