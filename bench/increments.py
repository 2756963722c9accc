"""A backup after a change, against the stock way, and against tools that copy what changed of a folder.

Measures bytes and time by the share of points that changed. Each of them has backed up the state before.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import copies, ours, points, stock, workloads
from bench.report import RATIO, Figure, Line, Plot, Subject, figure, ratios
from bench.slope import slope
from bench.stage import Stage
from bench.stock import Moved
from bench.workloads import Workload
from local.instance import LocalInstance
from runtime.engine import storage as layout
from runtime.engine.stream import open_stream
from runtime.repository.directory import DirectoryStore
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.tar import TarStream

_SHARES = {"0.01%": 0.0001, "1%": 0.01, "50%": 0.5}


@dataclass(slots=True)
class Found:
    """What every way took after a change of one size."""

    changed: int = 0
    moved: dict[str, list[Moved]] = field(default_factory=dict)

    def bytes(self, way: str) -> list[float]:
        """Return the bytes of each repetition."""
        return [float(one.bytes) for one in self.moved[way]]

    def seconds(self, way: str) -> list[float]:
        """Return the seconds of each repetition."""
        return [one.seconds for one in self.moved[way]]


def measure(stage: Stage) -> Subject:
    """Measure a small collection at all shares, a large one where little changes."""
    small, large = workloads.dense(stage.sizes.small), workloads.dense(stage.sizes.large)
    found = {"small": _by_share(stage, small, "small", tuple(_SHARES))}
    found["large"] = _by_share(stage, large, "large", ("1%",))
    figures = [*_figures(found["small"][0], "small", small), *_figures(found["large"][0], "large", large)]
    figures.append(
        figure(
            "increments.small.1%.bytes/full",
            f"{small.said}, 1 % changed: bytes / the full backup",
            RATIO,
            [one / found["small"][1] for one in found["small"][0]["1%"].bytes("ours")],
        )
    )
    figures += [*_growth(found["small"][0], small), *_one_point(stage)]
    return Subject(
        "increments",
        "A backup after a change",
        "a live instance, nobody writing during the backup; into a folder, with its syncs",
        figures,
        _plots(found["small"][0], small),
    )


def _by_share(stage: Stage, data: Workload, name: str, shares: tuple[str, ...]) -> tuple[dict[str, Found], int]:
    """Change and back up in turns; returns what was found by share, and the bytes of the full backup."""
    kept, bucket = stage.new_folder("kept"), stage.new_folder("bucket")
    if name == "large":
        bucket = stage.copy_of(stage.seed(data).bucket)
    with stage.instance(bucket) as instance:
        instance.wait_until("ready", seconds=120)
        port = instance.ports.public
        if name != "large":
            data.create(port)
            data.fill(port)
            instance.snapshot()
        full = ours.stored_in(bucket)
        ways = _ways(stage, instance, data, kept)
        for way in ways.values():  # what comes first is full
            way()
        found = {share: Found() for share in shares}
        for share in shares:
            for number, order in stage.in_turns(ways):
                found[share].changed = data.change(port, _SHARES[share], number)
                for one in order:
                    found[share].moved.setdefault(one, []).append(ways[one]())
    return found, full


def _ways(stage: Stage, instance: LocalInstance, data: Workload, kept: Path) -> dict[str, Callable[[], Moved]]:
    storage, spool = instance.folder / "storage", stage.new_folder("spool")
    keep = stock.in_folder(kept)

    def ask() -> Moved:
        started = time.monotonic()
        answer = instance.snapshot()
        return Moved(time.monotonic() - started, int(answer["packed_bytes"]))

    ways: dict[str, Callable[[], Moved]] = {
        "ours": ask,
        "stock": lambda: stock.back_up(instance.ports.rest, data.collections, spool, keep),
    }
    for name, copy in copies.copies().items():
        target = stage.new_folder(name)
        ways[name] = lambda copy=copy, target=target: copy(storage, target)  # type: ignore[misc]
    return ways


def _figures(found: dict[str, Found], name: str, data: Workload) -> list[Figure]:
    figures = []
    for share, one in found.items():
        said = f"{data.said}, {share.replace('%', ' %')} changed"
        for other in (way for way in one.moved if way != "ours"):
            against = "stock way" if other == "stock" else other
            key = f"increments.{name}.{share}"
            figures += [
                figure(
                    f"{key}.bytes/{other}",
                    f"{said}: bytes / {against}",
                    RATIO,
                    ratios(one.bytes("ours"), (max(size, 1) for size in one.bytes(other))),
                ),
                figure(
                    f"{key}.time/{other}",
                    f"  time / {against}",
                    RATIO,
                    ratios(one.seconds("ours"), one.seconds(other)),
                ),
            ]
        figures.append(
            figure(f"increments.{name}.{share}.mb", "  bytes moved", "MB", [b / 1e6 for b in one.bytes("ours")])
        )
        figures.append(figure(f"increments.{name}.{share}.seconds", "  time", "s", one.seconds("ours")))
    return figures


def _growth(found: dict[str, Found], data: Workload) -> list[Figure]:
    changed = [one.changed * points.POINT_BYTES for one in found.values()]
    fitted = slope(changed, [one.bytes("ours") for one in found.values()])
    return [
        figure(
            "increments.slope",
            f"{data.said}: a backup grows by, for one byte changed",
            RATIO,
            [fitted.per_unit],
        )
    ]


def _plots(found: dict[str, Found], data: Workload) -> list[Plot]:
    shares = [100 * _SHARES[share] for share in found]
    ways = next(iter(found.values())).moved
    return [
        Plot(
            f"increments-{what}",
            f"A backup after a change, {data.said}",
            "points changed, %",
            label,
            [Line(_called(way), shares, [get(one, way) for one in found.values()]) for way in ways],
            log=True,
        )
        for what, label, get in (
            ("bytes", "MB moved", lambda one, way: [max(size / 1e6, 0.001) for size in one.bytes(way)]),
            ("time", "seconds", lambda one, way: one.seconds(way)),
        )
    ]


def _called(way: str) -> str:
    return {"ours": "this project", "stock": "stock snapshot"}.get(way, way)


def _one_point(stage: Stage) -> list[Figure]:
    """Change one point in a large collection, and compare with what the engine says has changed."""
    large = workloads.dense(stage.sizes.large)
    bucket = stage.copy_of(stage.seed(large).bucket)
    packed, least, seconds = [], [], []
    with stage.instance(bucket) as instance:
        instance.wait_until("restored", seconds=120)
        for number in range(stage.sizes.repetitions):
            points.fill(instance.ports.public, range(number, number + 1), shift=number + 1)
            least.append(float(_changed_bytes(instance, asyncio.run(_newest(bucket, instance)))))
            saved = instance.snapshot()
            packed.append(float(saved["packed_bytes"]))
            seconds.append(float(saved["seconds"]))
    return [
        figure("increments.one.seconds", f"{large.said}, one point changed: time", "s", seconds),
        figure(
            "increments.one.bytes/changed",
            "  bytes / files of the engine that changed",
            RATIO,
            ratios(packed, (max(one, 1.0) for one in least)),
        ),
    ]


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
