"""The end: SIGTERM with 100 MB that no backup holds yet.

Measures from the signal to the exit, and against reading the engine's stream of the same data into nothing.
"""

import shutil
import time

from bench import points
from bench.full import read_into_nothing
from bench.report import Figure, Subject, ratios
from bench.stage import Stage

_REPETITIONS = 5
_UNSAVED = 100_000_000 // points.POINT_BYTES


def measure(stage: Stage) -> Subject:
    """Fill, end; each time in a bucket of its own."""
    seconds, reads, saved = [], [], []
    for _ in range(_REPETITIONS):
        bucket, disk = stage.new_folder("bucket"), stage.new_folder("disk")
        with stage.instance(bucket, disk=disk) as instance:
            instance.wait_until("ready")
            points.create(instance.ports.public)
            points.fill(instance.ports.public, range(_UNSAVED))
            reads.append(read_into_nothing(instance.ports.rest))
            started = time.monotonic()
            instance.terminate()
            seconds.append(time.monotonic() - started)
        saved.append(sum(path.stat().st_size for path in bucket.glob("packs/**/*") if path.is_file()) / 1e6)
        shutil.rmtree(disk)
        shutil.rmtree(bucket)
    return Subject(
        "ending",
        [
            Figure("SIGTERM to exit with 100 MB unsaved", "s", seconds, 3.0),
            Figure("SIGTERM to exit with 100 MB unsaved", "s", seconds, 8.0, worst=True),
            Figure("  / reading the engine's stream into nothing", "x", ratios(seconds, reads)),
            Figure("  saved by it", "MB", saved),
        ],
        "file:// with its syncs",
    )
