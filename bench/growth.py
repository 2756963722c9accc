"""What grows with the data: memory of everything but the engine, restores, and increments of one size.

Measures one lineage that grows, in several collections so that packs are uploaded in parallel. Memory is the kernel's
own high-water mark of each process: nothing between two looks is missed.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import points, workloads
from bench.report import RATIO, Figure, Line, Plot, Subject, figure
from bench.slope import slope
from bench.stage import Stage
from bench.store import BUCKET, running_store
from local.instance import LocalInstance

_COLLECTIONS = 5
_CHANGED = 200
_MB = 1e6


@dataclass(slots=True)
class Series:
    """What was found at each size of the data, in bytes."""

    size: list[float] = field(default_factory=list)
    backup: list[list[float]] = field(default_factory=list)
    restore: list[list[float]] = field(default_factory=list)
    increment: list[list[float]] = field(default_factory=list)
    seconds: list[list[float]] = field(default_factory=list)
    proxy: list[float] = field(default_factory=list)


def measure(stage: Stage) -> Subject:
    """Measure through a bucket at all sizes, with a folder at one."""
    growth = stage.sizes.growth
    with running_store() as address:
        bucket = _series(stage, f"gs://{BUCKET}/growth", {"STORAGE_EMULATOR_HOST": address}, growth)
    folder = _series(stage, f"file://{stage.new_folder('bucket')}", {}, growth[1:2])
    figures = [*_memory("gs", "through a bucket", bucket), *_memory("file", "with a folder", folder)]
    for what, called, samples in (
        ("backup", "backing up", bucket.backup),
        ("restore", "restoring", bucket.restore),
    ):
        fitted = slope(bucket.size, samples).per_unit * 1000
        figures.append(figure(f"growth.gs.{what}.slope", f"memory grows by, {called}, for 1 GB more", "MB", [fitted]))
    per_size = slope([size * _MB for size in bucket.size], bucket.increment).per_unit
    figures += [
        figure(
            "growth.increment.slope",
            f"an increment of {_CHANGED} points grows by, for one byte more of data",
            RATIO,
            [per_size],
        ),
        figure(
            "growth.restore.slope",
            "a restore takes longer by, for 1 GB more",
            "s",
            [slope(bucket.size, bucket.seconds).per_unit * 1000],
        ),
    ]
    said = f"{_COLLECTIONS} collections of 768 dimensions, {', '.join(f'{size:.0f}' for size in bucket.size)} MB"
    return Subject("growth", "What grows with the data", said, figures, _plots(bucket))


def _memory(store: str, said: str, found: Series) -> list[Figure]:
    largest = f"{found.size[-1]:.0f} MB {said}"
    return [
        figure(f"growth.{store}.backup.memory", f"{largest}, backed up: agent and gate", "MB", found.backup[-1]),
        figure(f"growth.{store}.restore.memory", "  restored: agent and gate", "MB", found.restore[-1]),
        figure(f"growth.{store}.proxy.memory", "  HAProxy", "MB", [max(found.proxy)]),
    ]


def _series(stage: Stage, url: str, settings: Mapping[str, str], growth: tuple[int, ...]) -> Series:
    found, before = Series(), 0
    for count in growth:
        data = workloads.spread(count, _COLLECTIONS)
        with stage.instance(url, settings=settings) as instance:
            instance.wait_until("ready", seconds=120)
            if not before:
                data.create(instance.ports.public)
            for name in data.collections:
                points.fill(instance.ports.public, range(before, data.count), collection=name)
            data.settle(instance.ports.public)
            instance.snapshot()
            found.increment.append([_increment(instance, data, number) for number in range(stage.sizes.repetitions)])
            found.size.append(data.count * _COLLECTIONS * points.POINT_BYTES / _MB)
            agent, proxy = _peaks(instance)
            found.backup.append([agent])
            found.proxy.append(proxy)
            _end(instance)
        before = data.count
        restored = [_restored(stage, url, settings) for _ in range(stage.sizes.repetitions)]
        found.restore.append([peak for peak, _ in restored])
        found.seconds.append([seconds for _, seconds in restored])
    return found


def _increment(instance: LocalInstance, data: workloads.Workload, number: int) -> float:
    data.change(instance.ports.public, _CHANGED / data.count / _COLLECTIONS, number)
    return float(instance.snapshot()["packed_bytes"])


def _restored(stage: Stage, url: str, settings: Mapping[str, str]) -> tuple[float, float]:
    started = time.monotonic()
    with stage.instance(url, settings=settings) as instance:
        instance.wait_until("restored", seconds=120)
        seconds = time.monotonic() - started
        agent, _ = _peaks(instance)
        _end(instance)
    return agent, seconds


def _end(instance: LocalInstance) -> None:
    instance.terminate()
    shutil.rmtree(instance.folder)


def _peaks(instance: LocalInstance) -> tuple[float, float]:
    agent = psutil.Process(instance.process.pid)
    proxy = next(child for child in agent.children(recursive=True) if child.name() == "haproxy")
    return _peak(agent.pid), _peak(proxy.pid)


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / _MB
    raise RuntimeError(f"the kernel keeps no peak of process {pid}")


def _plots(found: Series) -> list[Plot]:
    return [
        Plot(
            "memory",
            "Memory of everything but Qdrant and HAProxy, at its peak",
            "data, MB",
            "MB",
            [Line("backing up", found.size, found.backup), Line("restoring", found.size, found.restore)],
        ),
        Plot(
            "increment-by-size",
            f"A backup after {_CHANGED} changed points",
            "data, MB",
            "MB moved",
            [Line("this project", found.size, [[one / _MB for one in samples] for samples in found.increment])],
        ),
    ]
