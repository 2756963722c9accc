"""A backup after a change, against what was there before it and against what the engine has to say about the change.

Measures bytes and time of increments after one point and after 1 % of the points.
"""

import asyncio
import hashlib
from pathlib import Path

from bench import points
from bench.report import Figure, Subject, ratios
from bench.stage import Stage
from local.instance import LocalInstance
from runtime.engine import storage as layout
from runtime.engine.stream import open_stream
from runtime.repository.directory import DirectoryStore
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.tar import TarStream

_REPETITIONS = 6
_COUNT = 20_000
_SHARE = 100


def measure(stage: Stage) -> Subject:
    """Measure 1 % of a small collection, then one point in the large one."""
    one, least, seconds = _one_point(stage)
    return Subject(
        "increments",
        [
            Figure("bytes after changing 1 % of 20,000 points / full backup", "x", _one_percent(stage), 0.1),
            Figure("one point in 500 MB: time of the backup", "s", seconds, 0.3),
            Figure("one point in 500 MB: bytes / the engine's changed files", "x", ratios(one, least), 1.2),
        ],
        "file://; changed files: what the engine streams less files with equal hashes",
    )


def _one_percent(stage: Stage) -> list[float]:
    with stage.instance(stage.new_folder("bucket")) as instance:
        instance.wait_until("ready")
        port = instance.ports.public
        points.create(port)
        points.fill(port, range(_COUNT))
        points.settle(port)
        full = instance.snapshot()["packed_bytes"]
        found = []
        for repetition in range(_REPETITIONS):
            first = repetition * _COUNT // _REPETITIONS
            # Other vectors than before: what is rewritten with equal content would not count as changed.
            points.fill(port, range(first, first + _COUNT // _SHARE), shift=repetition + 1)
            found.append(instance.snapshot()["packed_bytes"] / full)
    return found


def _one_point(stage: Stage) -> tuple[list[float], list[float], list[float]]:
    bucket = stage.seed_copy()
    packed, least, seconds = [], [], []
    with stage.instance(bucket) as instance:
        instance.wait_until("restored")
        for repetition in range(_REPETITIONS):
            points.fill(instance.ports.public, range(repetition, repetition + 1), shift=repetition + 1)
            least.append(float(_changed_bytes(instance, asyncio.run(_newest(bucket, instance)))))
            saved = instance.snapshot()
            packed.append(float(saved["packed_bytes"]))
            seconds.append(float(saved["seconds"]))
    return packed, least, seconds


async def _newest(bucket: Path, instance: LocalInstance) -> Manifest:
    store = DirectoryStore(bucket)
    try:
        return await Repository(store).manifest(instance.health()["backup"]["newest"])
    finally:
        await store.close()


def _changed_bytes(instance: LocalInstance, base: Manifest) -> int:
    """Ask the engine for its changes and count what is really new in them."""
    known = base.collections[points.COLLECTION].shards["0"]
    stream = open_stream(instance.ports.rest, None, points.COLLECTION, "0", known.segment_manifests)
    if stream is None:
        return 0
    changed = 0
    try:
        archive = TarStream(stream)
        for member in archive:
            path = layout.placed(member.path) if member.is_file else None
            if path is None:
                continue
            digest = hashlib.sha256()
            for chunk in archive.data():
                digest.update(chunk)
            entry = known.files.get(path)
            if entry is None or entry.sha256 != digest.hexdigest():
                changed += member.stored
    finally:
        stream.close()
    return changed
