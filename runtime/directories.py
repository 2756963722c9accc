"""Directories in the bucket, for applications: an embedded vector store's folder, say.

Owns the blocking functions, their deadlines and what they return. What a version is and how it is committed is
`runtime.tree`'s. A prefix is a URL: `gs://bucket/prefix`, or `file:///directory` on one machine.
"""

import asyncio
import datetime as dt
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from runtime.errors import NothingThere, RuntimeFailure, StoreUnreachable
from runtime.repository.open import open_store, prepare
from runtime.repository.store import Store
from runtime.tree import download, upload, versions
from runtime.tree.versions import Version

T = TypeVar("T")

_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class DirectoryVersion:
    """One version of a directory: its number, the uploader's clock (UTC), how many entries of a kind, and bytes."""

    prefix: str
    version: int
    created_at: dt.datetime
    files: int
    directories: int
    links: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What an upload came to: the version that holds the directory, whether it is a new one, and what was sent."""

    version: DirectoryVersion
    committed: bool
    sent_files: int
    sent_bytes: int


def upload_directory(
    path: str | os.PathLike[str],
    prefix: str,
    *,
    after: int | None = None,
    project: str | None = None,
    emulator_host: str | None = None,
    timeout_seconds: float = _SECONDS,
) -> UploadResult:
    """Make what a directory holds the next version at `prefix`, whole or not at all.

    Content that is there already is not sent again; a directory that is the newest version makes no new one. Files,
    empty directories and links that stay inside are kept, with permission bits and times of modification.
    `after`: the version this directory was made from; the upload is refused when it is not the newest any more.

    Raises ConfigError (no directory, a link that leads out, a prefix with Qdrant's backups), WrittenMeanwhile (somebody
    else committed first), RuntimeFailure (the directory changed meanwhile, or cannot be read), IntegrityError (what is
    there is damaged), StoreError. After a StoreError the version may be there: upload again, and see.
    """

    async def work(store: Store) -> UploadResult:
        await _refuse_layout(prefix, project, emulator_host)
        await prepare(store)
        sent = await upload.upload(store, Path(path).resolve(), after=after)
        return UploadResult(_told(prefix, sent.version), sent.committed, sent.files, sent.bytes)

    return _run(prefix, work, project, emulator_host, timeout_seconds)


def download_directory(
    prefix: str,
    path: str | os.PathLike[str],
    *,
    version: int | None = None,
    replace: bool = False,
    project: str | None = None,
    emulator_host: str | None = None,
    timeout_seconds: float = _SECONDS,
) -> DirectoryVersion:
    """Bring a version back, the newest by default, every byte checked; `path` then holds exactly that.

    Until all of it is right, `path` is as it was. One that holds something is refused, unless `replace`: then what was
    there is removed when the version is in its place.

    Raises NothingThere (no version), ConfigError (`path` is not empty, or no directory), IntegrityError (damaged),
    RuntimeFailure (the disk), StoreError.
    """

    async def work(store: Store) -> DirectoryVersion:
        found = await versions.read(store, version)
        if found is None:
            raise NothingThere(f"{store} holds no directory", hint="Check the prefix, or upload one first")
        await download.download(store, found.tree, Path(path), replace=replace)
        return _told(prefix, found)

    return _run(prefix, work, project, emulator_host, timeout_seconds)


def list_directories(
    prefix: str,
    *,
    limit: int = 100,
    project: str | None = None,
    emulator_host: str | None = None,
    timeout_seconds: float = 300.0,
) -> tuple[DirectoryVersion, ...]:
    """Return the newest versions at `prefix`, at most `limit`, newest first. Raises IntegrityError, StoreError."""

    async def work(store: Store) -> tuple[DirectoryVersion, ...]:
        return tuple(_told(prefix, found) for found in await versions.read_newest(store, limit))

    return _run(prefix, work, project, emulator_host, timeout_seconds)


def _run(
    prefix: str,
    work: Callable[[Store], Awaitable[T]],
    project: str | None,
    emulator_host: str | None,
    seconds: float,
) -> T:
    """Do the work on a store of its own, within the deadline. Raises StoreUnreachable when it does not end in time."""

    async def run() -> T:
        store = open_store(prefix, emulator_host=emulator_host, project=project)
        try:
            async with asyncio.timeout(seconds):
                return await work(store)
        except TimeoutError:
            raise StoreUnreachable(
                f"{store}: not done within {seconds:g} s", hint="Try again: what has been sent is not sent again"
            ) from None
        finally:
            await store.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    raise RuntimeFailure("called in an event loop, which it would block", hint="Use `await asyncio.to_thread(…)`")


async def _refuse_layout(prefix: str, project: str | None, emulator_host: str | None) -> None:
    """Raise ConfigError when the prefix is a folder of a lineage of Qdrant's backups."""
    parts = urlsplit(prefix)
    for above in versions.above_layout([part for part in parts.path.split("/") if part]):
        place = f"{parts.scheme}://{parts.netloc}/{'/'.join(above)}"
        store = open_store(place, emulator_host=emulator_host, project=project)
        try:
            await versions.refuse_lineage(store)
        finally:
            await store.close()


def _told(prefix: str, found: Version) -> DirectoryVersion:
    tree = found.tree
    return DirectoryVersion(
        prefix,
        found.number,
        found.created_at,
        len(tree.files),
        len(tree.directories) - 1,  # the root is the directory itself
        len(tree.links),
        tree.bytes,
    )
