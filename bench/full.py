"""A full backup of each kind of data, against the stock way and against what nothing can beat.

Measures time and bytes in turns on one engine, and, apart from that, the disk it takes meanwhile.
"""

import os
import shutil
from collections.abc import Callable, Mapping

from bench import copies, disk, ours, stock, workloads
from bench.processors import on_one_processor
from bench.report import RATIO, Figure, Subject, figure, ratios
from bench.stage import EngineAlone, Stage
from bench.stock import Moved
from bench.workloads import Workload


def measure(stage: Stage) -> Subject:
    """Measure one kind after the other."""
    sizes = stage.sizes
    figures: list[Figure] = []
    for kind in (workloads.dense(sizes.large), *workloads.kinds(sizes)):
        with stage.engine_on(kind) as engine:
            figures += _measured(stage, engine, kind)
            figures += _disk(stage, engine, kind) if kind.name == "dense" else []
    return Subject("full", "A full backup", "an engine alone; into a folder, with its syncs", figures)


def _measured(stage: Stage, engine: EngineAlone, kind: Workload) -> list[Figure]:
    size = disk.size_of(engine.storage)
    spool = stage.new_folder("spool")
    found: dict[str, list[float]] = {}
    moved: dict[str, list[int]] = {"ours": [], "stock": []}

    def back_up_ours() -> float:
        done = _ours(stage, engine)
        moved["ours"].append(done.bytes)
        return done.seconds

    def back_up_stock() -> float:
        folder = stage.new_folder("kept")
        done = stock.back_up(engine.rest, kind.collections, spool, stock.in_folder(folder))
        moved["stock"].append(done.bytes)
        shutil.rmtree(folder)
        return done.seconds

    ways: dict[str, Callable[[], float]] = {"ours": back_up_ours, "stock": back_up_stock}
    if kind.name == "dense":
        ways["raw"] = lambda: copies.raw(size, spool / "raw")
        ways["memory"] = lambda: copies.into_memory(engine.storage)
    _in_turns(stage, ways, found)
    mine, said = found["ours"], f"{kind.said} ({size / 1e6:.0f} MB)"
    figures = [
        figure(f"full.{kind.name}.time/stock", f"{said}: time / stock way", RATIO, ratios(mine, found["stock"])),
        figure(
            f"full.{kind.name}.bytes/stock",
            "  bytes moved / stock way",
            RATIO,
            ratios(moved["ours"], moved["stock"]),
        ),
        figure(f"full.{kind.name}.rate", "  of its data, per second", "MB/s", [size / 1e6 / one for one in mine]),
    ]
    if kind.name == "dense":
        figures += [
            _against_the_stream(stage, engine, kind),
            figure(
                "full.dense.time/raw", "  time / writing as many bytes to the disk", RATIO, ratios(mine, found["raw"])
            ),
            figure(
                "full.dense.time/memory",
                "  time / reading the files into memory",
                RATIO,
                ratios(mine, found["memory"]),
            ),
        ]
    return figures


def _against_the_stream(stage: Stage, engine: EngineAlone, kind: Workload) -> Figure:
    found: dict[str, list[float]] = {}
    ways = {
        "ours": lambda: _ours(stage, engine).seconds,
        "stream": lambda: ours.read_into_nothing(engine.rest, kind.collections),
    }
    with on_one_processor(engine.process.pid):
        _in_turns(stage, ways, found)
    said = "  time / reading Qdrant's stream into nothing, both with Qdrant on one processor"
    return figure(f"full.{kind.name}.time/stream", said, RATIO, ratios(found["ours"], found["stream"]))


def _ours(stage: Stage, engine: EngineAlone) -> Moved:
    bucket = stage.new_folder("bucket")
    done = ours.full_backup(engine, f"file://{bucket}")
    shutil.rmtree(bucket)
    return done


def _in_turns(stage: Stage, ways: Mapping[str, Callable[[], float]], found: dict[str, list[float]]) -> None:
    for _, order in stage.in_turns(ways):
        for way in order:
            os.sync()
            found.setdefault(way, []).append(ways[way]())


def _disk(stage: Stage, engine: EngineAlone, kind: Workload) -> list[Figure]:
    """Look at what lies beside the data while a backup runs, the bucket not counted."""
    data = disk.size_of(engine.storage)
    found: dict[str, list[float]] = {"ours": [], "stock": []}
    spool = stage.new_folder("spool")
    for _ in range(2):
        bucket, kept = stage.new_folder("bucket"), stage.new_folder("kept")
        with disk.peak_of(engine.storage.parent, spool) as seen:
            ours.full_backup(engine, f"file://{bucket}")
        found["ours"].append((seen.peak - seen.before) / data)
        with disk.peak_of(engine.storage.parent, spool) as seen:
            stock.back_up(engine.rest, kind.collections, spool, stock.in_folder(kept))
        found["stock"].append((seen.peak - seen.before) / data)
        shutil.rmtree(bucket)
        shutil.rmtree(kept)
    return [
        figure("full.dense.disk", "  extra disk during a backup / data", RATIO, found["ours"]),
        figure("full.dense.disk.stock", "  extra disk during the stock way / data", RATIO, found["stock"]),
    ]
