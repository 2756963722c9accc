"""This project's backup of an engine that runs alone, in this process: full again and again, which an instance is not.

Owns the wiring and the commit as a writer does it: packs, manifest, HEAD.
"""

import asyncio
import time
from pathlib import Path

from bench.stage import EngineAlone
from bench.stock import Moved
from runtime.backup import Backups
from runtime.composition import Base, Position
from runtime.edge.gate import Gate
from runtime.engine.process import Engine
from runtime.engine.stream import open_stream
from runtime.repository.head import Head
from runtime.repository.open import open_store
from runtime.repository.repository import Repository
from runtime.settings import Settings

_PIECE = 1024 * 1024


def full_backup(engine: EngineAlone, url: str, emulator: str | None = None) -> Moved:
    """Take and commit a first backup into an empty store."""
    return asyncio.run(_full_backup(engine, url, emulator))


async def _full_backup(engine: EngineAlone, url: str, emulator: str | None) -> Moved:
    settings = Settings.from_env(
        {
            "BACKUP_URL": url,
            "QDRANT_HTTP_PORT": str(engine.rest),
            "QDRANT_GRPC_PORT": str(engine.grpc),
            "QDRANT_STORAGE_DIR": str(engine.storage),
        }
    )
    gate, client = Gate(), Engine(settings)
    store = open_store(url, emulator_host=emulator, project=None)
    repository = Repository(store)
    started = time.monotonic()
    taken = await Backups(settings, client, gate, repository).take(
        Base(None, None, gate.written()), Position("bench", 1, 1, "bench", "bench"), must=False
    )
    if taken.manifest is None:
        raise RuntimeError("there was nothing to back up")
    name, sha256 = await repository.write_manifest(taken.manifest)
    await repository.swap_head(Head("bench", 1, "bench", 1, name, sha256, clean=True, requested_by=None), 0)
    seconds = time.monotonic() - started
    await client.close()
    await store.close()
    return Moved(seconds, taken.packed_bytes)


def read_into_nothing(port: int, collections: tuple[str, ...]) -> float:
    """Read a full stream of each collection, one after the other; returns the seconds."""
    started = time.monotonic()
    for name in collections:
        stream = open_stream(port, None, name, "0", {})
        if stream is None:
            raise RuntimeError(f"Qdrant streams nothing of {name}")
        while stream.read(_PIECE):
            pass
        stream.close()
    return time.monotonic() - started


def stored_in(bucket: Path) -> int:
    """Return the bytes of the packs in a `file://` bucket."""
    return sum(path.stat().st_size for path in bucket.glob("packs/**/*") if path.is_file())
