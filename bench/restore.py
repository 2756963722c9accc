"""A restore against what no restore can beat: copying the same files and starting the same engine.

Measures from exec to the first correct answer on the public port, with the bucket in the page cache and not.
"""

import datetime as dt
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import points
from bench.report import Figure, Subject, ratios
from bench.stage import SEED_POINTS, Stage, answer, events, forget_cached, size_of, until

_REPETITIONS = 5


def measure(stage: Stage) -> Subject:
    """Alternate both, warm and cold."""
    seed = stage.seed
    figures = []
    for cache in ("warm", "cold"):
        copies, starts, restores, parts, empties = [], [], [], [], []
        for repetition in range(_REPETITIONS):
            empties.append(_start_empty(stage))
            for what in ("copy", "restore") if repetition % 2 else ("restore", "copy"):
                if cache == "cold":
                    forget_cached(seed.bucket, seed.tree)
                if what == "copy":
                    copied, started = _copy_and_start(stage, seed.tree)
                    copies.append(copied)
                    starts.append(started)
                else:
                    seconds, found = _restore(stage, seed.bucket)
                    restores.append(seconds)
                    parts.append(found)
        beyond = [restored - empty for restored, empty in zip(restores, empties, strict=True)]
        both = [copied + started for copied, started in zip(copies, starts, strict=True)]
        figures += [
            Figure(f"{cache}: to the first correct answer / (cp -r + engine start)", "x", ratios(restores, both), 1.5),
            Figure(f"{cache}: to the first correct answer / cp -r", "x", ratios(restores, copies), 3.0),
            Figure(f"{cache}: what the data adds to a start / cp -r", "x", ratios(beyond, copies)),
            *(
                Figure(f"{cache}:   {part} / (cp -r + engine start)", "x", ratios([p[part] for p in parts], both))
                for part in parts[0]
            ),
            Figure(f"{cache}:   (cp -r / (cp -r + engine start))", "x", ratios(copies, both)),
        ]
    return Subject("restore", figures, f"{size_of(seed.tree) / 1e6:.0f} MB in the tree, file://, after a clean end")


def _start_empty(stage: Stage) -> float:
    """Start an instance that has nothing to restore: what a start costs whatever the size of the data."""
    started = time.monotonic()
    with stage.instance(stage.new_folder("bucket")) as instance:
        seconds = until(lambda: answer(instance.ports.public, "/collections") is not None) - started
        instance.terminate()
    return seconds


def _copy_and_start(stage: Stage, tree: Path) -> tuple[float, float]:
    folder = stage.new_folder("copy")
    started = time.monotonic()
    subprocess.run(["cp", "-r", str(tree), str(folder / "storage")], check=True)
    copied = time.monotonic()
    with stage.engine_alone(folder / "storage"):
        ready = time.monotonic()
    shutil.rmtree(folder)
    return copied - started, ready - copied


def _restore(stage: Stage, bucket: Path) -> tuple[float, dict[str, float]]:
    disk = stage.new_folder("disk")
    began = dt.datetime.now(dt.UTC)
    started = time.monotonic()
    with stage.instance(bucket, disk=disk) as instance:
        seconds = until(lambda: _is_correct(instance.ports.public)) - started
        instance.wait_until("writer")
        found = _parts(began, events(instance))
        instance.terminate()
    shutil.rmtree(disk)
    return seconds, found


def _is_correct(port: int) -> bool:
    """Whether the last point written is there, number by number."""
    number = SEED_POINTS - 1
    body = answer(port, f"/collections/{points.COLLECTION}/points/{number}")
    vector: Any = json.loads(body)["result"]["vector"] if body else None
    expected = points.pool()[number % len(points.pool())]
    return vector is not None and all(abs(a - b) < 1e-6 for a, b in zip(vector, expected, strict=True))


def _parts(began: dt.datetime, log: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Take the start apart as its log tells it: before the boot, placing, and the rest (engine, comparing, claim)."""
    boot = (dt.datetime.fromisoformat(log["boot.started"]["time"]) - began).total_seconds()
    placing = log["restore.finished"]["milliseconds"] / 1000
    return {
        "exec to boot": boot,
        "placing": placing,
        "engine start and claim": log["restore.finished"]["total_milliseconds"] / 1000 - placing,
    }
