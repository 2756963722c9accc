"""A restore against the stock way, and against what none can beat: copying the same files and starting the engine.

Measures from exec to the first correct answer, with the bucket in the page cache and not; and the disk it takes.
"""

import datetime as dt
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import copies, disk, points, stock, workloads
from bench.report import RATIO, Figure, Line, Plot, Subject, figure, ratios
from bench.stage import Seed, Stage, events, forget_cached
from bench.stock import Kept
from bench.waiting import answer, until
from bench.workloads import Workload

Parts = dict[str, float]


def measure(stage: Stage) -> Subject:
    """Measure the large collection closely, then the other kinds against the stock way."""
    sizes = stage.sizes
    large = workloads.dense(sizes.large)
    figures: list[Figure] = []
    parts: dict[str, list[Parts]] = {}
    kept = _stock_snapshots(stage, large)
    for cache in ("warm", "cold"):
        found, parts[cache] = _in_turns(stage, large, kept, cold=cache == "cold", copies_too=True)
        figures += _figures(cache, found, parts[cache])
    figures += _disk(stage, large, kept)
    for kind in workloads.kinds(sizes):
        figures.append(_kind(stage, kind))
    size = disk.size_of(stage.seed(large).tree) / 1e6
    said = f"{large.said}, {size:.0f} MB, from a folder, after a clean end; warm: in the page cache; cold: not"
    return Subject("restore", "A start that restores", said, figures, [_plot(parts, large)])


def _kind(stage: Stage, kind: Workload) -> Figure:
    """Measure another kind of data against the stock way."""
    said = f"{kind.said}: to the first correct answer"
    found, _ = _in_turns(stage, kind, _stock_snapshots(stage, kind), cold=False)
    return figure(f"restore.{kind.name}/stock", f"{said} / stock way", RATIO, ratios(found["ours"], found["stock"]))


def _in_turns(
    stage: Stage, data: Workload, kept: Kept, *, cold: bool, copies_too: bool = False
) -> tuple[dict[str, list[float]], list[Parts]]:
    seed = stage.seed(data)
    parts: list[Parts] = []
    started: list[float] = []

    def restore_ours(folder: Path) -> float:
        seconds, found = _ours(stage, seed, data, folder)
        parts.append(found)
        return seconds

    def copy_and_start(folder: Path) -> float:
        copied, start = _copy_and_start(stage, seed, folder)
        started.append(start)
        return copied

    ways: dict[str, Callable[[Path], float]] = {
        "ours": restore_ours,
        "stock": lambda folder: _stock(stage, data, kept, folder),
    }
    if copies_too:
        ways["cp"] = copy_and_start
    found: dict[str, list[float]] = {}
    for _, order in stage.in_turns(ways):
        for way in order:
            folder = stage.new_folder(way)
            if cold:
                forget_cached(stage.folder)
            found.setdefault(way, []).append(ways[way](folder))
            shutil.rmtree(folder)
    found["start"] = started
    return found, parts


def _figures(cache: str, found: dict[str, list[float]], parts: list[Parts]) -> list[Figure]:
    both = [copied + started for copied, started in zip(found.get("cp", []), found["start"], strict=True)]
    mine = found["ours"]
    return [
        figure(
            f"restore.{cache}/(cp+start)",
            f"{cache}: to the first correct answer / (`cp -r` + engine start)",
            RATIO,
            ratios(mine, both),
        ),
        figure(f"restore.{cache}/stock", f"{cache}: / stock way", RATIO, ratios(mine, found["stock"])),
        figure(f"restore.{cache}/cp", f"{cache}: / `cp -r`", RATIO, ratios(mine, found["cp"])),
        figure(f"restore.{cache}.seconds", f"{cache}: to the first correct answer", "s", mine),
        *(
            figure(f"restore.{cache}.{part}", f"    of it {part}", "s", [one[part] for one in parts])
            for part in parts[0]
        ),
        figure(f"restore.{cache}.cp+start", f"{cache}: `cp -r` + engine start", "s", both),
        figure(f"restore.{cache}.stock", f"{cache}: stock way", "s", found["stock"]),
    ]


def _disk(stage: Stage, data: Workload, kept: Kept) -> list[Figure]:
    """Look at what lies on the disk while a restore runs, beyond what lies there in the end."""
    seed = stage.seed(data)
    folder = stage.new_folder("disk")
    with disk.peak_of(folder) as seen:
        _ours(stage, seed, data, folder)
    mine = (seen.peak - seen.after) / seen.after
    folder = stage.new_folder("copy")
    with disk.peak_of(folder) as seen:
        _stock(stage, data, kept, folder)
    return [
        figure("restore.disk", "extra disk during a restore / data", RATIO, [max(mine, 0.0)]),
        figure(
            "restore.disk.stock",
            "extra disk during the stock way / data",
            RATIO,
            [(seen.peak - seen.after) / seen.after],
        ),
    ]


def _stock_snapshots(stage: Stage, data: Workload) -> Kept:
    folder = stage.new_folder("kept")
    kept = stock.in_folder(folder)
    with stage.engine_on(data) as engine:
        stock.back_up(engine.rest, data.collections, stage.new_folder("spool"), kept)
    return kept


def _stock(stage: Stage, data: Workload, kept: Kept, folder: Path) -> float:
    started = time.monotonic()
    with stage.engine_alone(folder / "storage") as engine:
        stock.restore(engine.rest, data.collections, engine.snapshots, kept)
        return until(lambda: is_correct(engine.rest, data)) - started


def _copy_and_start(stage: Stage, seed: Seed, folder: Path) -> tuple[float, float]:
    copied = copies.cp(seed.tree, folder / "storage").seconds
    started = time.monotonic()
    with stage.engine_alone(folder / "storage"):
        return copied, time.monotonic() - started


def _ours(stage: Stage, seed: Seed, data: Workload, folder: Path) -> tuple[float, Parts]:
    began = dt.datetime.now(dt.UTC)
    started = time.monotonic()
    with stage.instance(seed.bucket, disk=folder) as instance:
        seconds = until(lambda: is_correct(instance.ports.public, data)) - started
        instance.wait_until("writer")
        found = _parts(began, seconds, events(instance))
        instance.terminate()
    return seconds, found


def is_correct(port: int, data: Workload) -> bool:
    """Whether the last point written of the last collection is there; dense vectors are compared number by number."""
    number = data.count - 1
    body = answer(port, f"/collections/{data.collections[-1]}/points/{number}")
    if not body:
        return False
    vector = json.loads(body)["result"]["vector"]
    if data.encode is not points.dense:
        return vector is not None
    return bool(np.allclose(vector, points.vectors([number])[0], atol=1e-6))


def _parts(began: dt.datetime, seconds: float, log: dict[str, dict[str, Any]]) -> Parts:
    """Take the start apart as its log tells it: before the boot, placing, and the rest (engine, comparing, claim)."""
    boot = (dt.datetime.fromisoformat(log["boot.started"]["time"]) - began).total_seconds()
    placing = log["restore.finished"]["milliseconds"] / 1000
    return {"starting Python": boot, "placing files": placing, "engine start and claim": seconds - boot - placing}


def _plot(parts: dict[str, list[Parts]], data: Workload) -> Plot:
    names = list(next(iter(parts.values()))[0])
    return Plot(
        "restore-parts",
        f"What a start that restores consists of, {data.said}",
        "",
        "seconds",
        [
            Line(cache, range(len(names)), [[one[name] for one in found] for name in names])
            for cache, found in parts.items()
        ],
        ticks=names,
    )
