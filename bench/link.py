"""A bucket as it is in the cloud: some milliseconds away, behind a network of its own speed.

Measures this project and the stock way through the same link: a full backup, one after a change, and a start that
restores.
"""

import shutil
import time

from bench import ours, stock, workloads
from bench.report import RATIO, Figure, Subject, figure, ratios
from bench.restore import is_correct
from bench.stage import Stage
from bench.store import BUCKET, Link, running_store
from bench.waiting import until

LINK = Link(round_trip_ms=20, mb_per_second=120)
_SHARE = 0.01


def measure(stage: Stage) -> Subject:
    """Measure all three."""
    data = workloads.dense(stage.sizes.small)
    with running_store(LINK) as address:
        figures = [*_backups(stage, data, address), *_restores(stage, data, address)]
    return Subject("link", "Over a network", f"{data.said}, a bucket behind {LINK}", figures)


def _backups(stage: Stage, data: workloads.Workload, address: str) -> list[Figure]:
    kept, spool = stock.in_bucket(address), stage.new_folder("spool")
    full: dict[str, list[float]] = {"ours": [], "stock": []}
    after: dict[str, list[float]] = {"ours": [], "stock": []}
    with stage.instance(f"gs://{BUCKET}/bench", settings={"STORAGE_EMULATOR_HOST": address}) as instance:
        instance.wait_until("ready")
        data.create(instance.ports.public)
        data.fill(instance.ports.public)
        started = time.monotonic()
        instance.snapshot()
        for number, order in stage.in_turns(after):
            data.change(instance.ports.public, _SHARE, number)
            for way in order:
                started = time.monotonic()
                if way == "ours":
                    instance.snapshot()
                else:
                    stock.back_up(instance.ports.rest, data.collections, spool, kept)
                after[way].append(time.monotonic() - started)
        instance.terminate()
    tree = instance.folder / "storage"
    with stage.engine_alone(tree) as engine:
        for number, order in stage.in_turns(full):
            for way in order:
                if way == "ours":
                    done = ours.full_backup(engine, f"gs://{BUCKET}/full-{number}", address)
                else:
                    done = stock.back_up(engine.rest, data.collections, spool, kept)
                full[way].append(done.seconds)
    return [
        figure("link.full/stock", "a full backup: time / stock way", RATIO, ratios(full["ours"], full["stock"])),
        figure("link.full.seconds", "  time", "s", full["ours"]),
        figure(
            "link.1%/stock",
            "a backup after 1 % changed: time / stock way",
            RATIO,
            ratios(after["ours"], after["stock"]),
        ),
        figure("link.1%.seconds", "  time", "s", after["ours"]),
    ]


def _restores(stage: Stage, data: workloads.Workload, address: str) -> list[Figure]:
    kept = stock.in_bucket(address)
    found: dict[str, list[float]] = {"ours": [], "stock": []}
    for _, order in stage.in_turns(found):
        for way in order:
            folder = stage.new_folder("disk")
            started = time.monotonic()
            if way == "ours":
                settings = {"STORAGE_EMULATOR_HOST": address}
                with stage.instance(f"gs://{BUCKET}/bench", disk=folder, settings=settings) as instance:
                    found[way].append(until(lambda: is_correct(instance.ports.public, data)) - started)
                    instance.wait_until("writer")
                    instance.terminate()
            else:
                with stage.engine_alone(folder / "storage") as engine:
                    stock.restore(engine.rest, data.collections, engine.snapshots, kept)
                    found[way].append(until(lambda: is_correct(engine.rest, data)) - started)
            shutil.rmtree(folder)
    return [
        figure(
            "link.restore/stock",
            "start to first correct answer / stock way",
            RATIO,
            ratios(found["ours"], found["stock"]),
        ),
        figure("link.restore.seconds", "  time", "s", found["ours"]),
    ]
