"""The end: SIGTERM with 100 MB that no backup holds yet.

Measures from the signal to the exit, and against reading the engine's stream of the same data into nothing.
"""

import shutil
import time

from bench import ours, workloads
from bench.report import RATIO, Subject, figure, ratios
from bench.stage import Stage


def measure(stage: Stage) -> Subject:
    """Fill, end; each time in a bucket of its own."""
    data = workloads.dense(stage.sizes.unsaved)
    seconds, reads, saved = [], [], []
    for _ in range(stage.sizes.repetitions):
        bucket, disk = stage.new_folder("bucket"), stage.new_folder("disk")
        with stage.instance(bucket, disk=disk) as instance:
            instance.wait_until("ready")
            data.create(instance.ports.public)
            data.fill(instance.ports.public)
            reads.append(ours.read_into_nothing(instance.ports.rest, data.collections))
            started = time.monotonic()
            instance.terminate()
            seconds.append(time.monotonic() - started)
        saved.append(ours.stored_in(bucket) / 1e6)
        shutil.rmtree(disk)
        shutil.rmtree(bucket)
    return Subject(
        "ending",
        "The end of an instance",
        f"{data.said}, none of it in a backup yet; into a folder, with its syncs",
        [
            figure("ending.seconds", "SIGTERM to exit", "s", seconds),
            figure("ending.worst", "  the slowest", "s", seconds),
            figure("ending/stream", "  / reading Qdrant's stream into nothing", RATIO, ratios(seconds, reads)),
            figure("ending.saved", "  saved by it", "MB", saved),
        ],
    )
