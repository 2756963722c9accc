"""A full backup against reading the engine's stream into nothing: what no backup through that stream can beat.

Measures the backup itself, in this process, on an engine that runs alone.
"""

import asyncio
import http.client
import os
import shutil
import time
from pathlib import Path

from bench import points
from bench.report import Figure, Subject, ratios
from bench.stage import EngineAlone, Stage, size_of
from runtime.backup import Backups
from runtime.composition import Base, Position
from runtime.edge.gate import Gate
from runtime.engine.process import Engine
from runtime.repository.directory import DirectoryStore
from runtime.repository.repository import Repository
from runtime.settings import Settings

_REPETITIONS = 5
_PIECE = 1024 * 1024


def measure(stage: Stage) -> Subject:
    """Alternate both on one engine."""
    seed = stage.seed
    reads, backups, shares = [], [], []
    tree = shutil.copytree(seed.tree, stage.new_folder("tree") / "storage")
    with stage.engine_alone(tree) as engine:
        for repetition in range(_REPETITIONS):
            for what in ("read", "backup") if repetition % 2 else ("backup", "read"):
                os.sync()
                if what == "read":
                    reads.append(read_into_nothing(engine.rest))
                    continue
                bucket = stage.new_folder("bucket")
                before = time.process_time()
                seconds = asyncio.run(_back_up(engine, bucket))
                shares.append((time.process_time() - before) / seconds)
                backups.append(seconds)
                shutil.rmtree(bucket)
    return Subject(
        "full",
        [
            Figure("full backup / reading the engine's stream into nothing", "x", ratios(backups, reads), 1.1),
            Figure("  processor time of the backup, cores", "", shares),
        ],
        f"{size_of(seed.tree) / 1e6:.0f} MB, file:// with its syncs",
    )


def read_into_nothing(port: int) -> float:
    """Read a full stream of the collection; returns the seconds it took."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    path = f"/collections/{points.COLLECTION}/shards/0/snapshot/partial/create"
    connection.request("POST", path, "{}", {"Content-Type": "application/json"})
    response = connection.getresponse()
    while response.read(_PIECE):
        pass
    connection.close()
    return time.monotonic() - started


async def _back_up(engine: EngineAlone, bucket: Path) -> float:
    settings = Settings.from_env(
        {
            "BACKUP_URL": f"file://{bucket}",
            "QDRANT_HTTP_PORT": str(engine.rest),
            "QDRANT_GRPC_PORT": str(engine.grpc),
            "QDRANT_STORAGE_DIR": str(engine.storage),
        }
    )
    gate, store, client = Gate(), DirectoryStore(bucket), Engine(settings)
    started = time.monotonic()
    await Backups(settings, client, gate, Repository(store)).take(
        Base(None, None, gate.written()), Position("bench", 1, 1, "bench", "bench"), must=False
    )
    seconds = time.monotonic() - started
    await client.close()
    await store.close()
    return seconds
