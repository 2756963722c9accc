"""The stock way, as tutorials do it: a snapshot of each collection, downloaded, and put where backups are kept.

Owns its steps in both directions. The snapshot is deleted afterwards, outside of the time that counts.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from bench.store import BUCKET

_PIECE = 1024 * 1024
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Moved:
    """What a backup took: seconds, and bytes that went to the store."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Where files are kept: `put` a local file under a name, `get` it back into a local file."""

    put: Callable[[Path, str], None]
    get: Callable[[str, Path], None]


def in_folder(folder: Path) -> Kept:
    """Keep files in a folder, on the disk when `put` returns: as the `file://` store does."""

    def put(source: Path, name: str) -> None:
        with source.open("rb") as reading, (folder / name).open("wb") as writing:
            shutil.copyfileobj(reading, writing, _PIECE)
            writing.flush()
            os.fsync(writing.fileno())

    def get(name: str, target: Path) -> None:
        shutil.copyfile(folder / name, target)

    return Kept(put, get)


def in_bucket(address: str) -> Kept:
    """Keep files in a bucket, through Google's own client."""
    client = storage.Client(
        project="none",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": address},
    )
    bucket = client.bucket(BUCKET)

    def put(source: Path, name: str) -> None:
        bucket.blob(name).upload_from_filename(str(source), timeout=_SECONDS)

    def get(name: str, target: Path) -> None:
        bucket.blob(name).download_to_filename(str(target), timeout=_SECONDS)

    return Kept(put, get)


def back_up(port: int, collections: Sequence[str], spool: Path, kept: Kept) -> Moved:
    """Back up collections, one after the other."""
    started = time.monotonic()
    total, made = 0, []
    for name in collections:
        url = _snapshots(port, name)
        answer = requests.post(url, params={"wait": "true"}, timeout=_SECONDS)
        answer.raise_for_status()
        made.append(f"{url}/{answer.json()['result']['name']}")
        file = spool / f"{name}.snapshot"
        # As `curl` asks: Qdrant compresses for who accepts it, which takes longer than all the rest.
        as_it_is = {"Accept-Encoding": "identity"}
        with (
            requests.get(made[-1], headers=as_it_is, stream=True, timeout=_SECONDS) as download,
            file.open("wb") as writing,
        ):
            download.raise_for_status()
            shutil.copyfileobj(download.raw, writing, _PIECE)
        kept.put(file, file.name)
        total += file.stat().st_size
        file.unlink()
    seconds = time.monotonic() - started
    for url in made:
        requests.delete(url, timeout=_SECONDS).raise_for_status()
    return Moved(seconds, total)


def restore(port: int, collections: Sequence[str], snapshots: Path, kept: Kept) -> None:
    """Bring collections back into a running engine, whose folder for snapshots is `snapshots`."""
    for name in collections:
        file = snapshots / name / f"{name}.snapshot"
        file.parent.mkdir(parents=True, exist_ok=True)
        kept.get(file.name, file)
        wanted = {"location": f"file://{file}", "priority": "snapshot"}
        answer = requests.put(
            f"{_snapshots(port, name)}/recover", params={"wait": "true"}, json=wanted, timeout=_SECONDS
        )
        answer.raise_for_status()
        file.unlink(missing_ok=True)


def _snapshots(port: int, collection: str) -> str:
    return f"http://127.0.0.1:{port}/collections/{collection}/snapshots"
