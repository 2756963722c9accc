"""How an instance started: the facts that people and metrics are told, and the lines of the log that say so.

Decides nothing.
"""

from dataclasses import dataclass

from runtime.logs import get_logger
from runtime.replica import Placed
from runtime.selection import Start

log = get_logger()


@dataclass(frozen=True, slots=True)
class Restored:
    """What was placed (`manifest` None: nothing), without what was passed over as damaged; `seconds` of placing it."""

    start: Start
    manifest: str | None
    skipped: tuple[str, ...]
    points: int
    files: int
    bytes: int
    seconds: float
    forced: bool


def restored(start: Start, placed: Placed | None, *, forced: bool, seconds: float) -> Restored:
    """Return how it went and log it. `seconds`: since the start began; `forced`: another was taken for dead."""
    if placed is None:
        return Restored(start, None, (), 0, 0, 0, 0.0, forced)
    choice, manifest = placed.choice, placed.choice.manifest
    if manifest is not None:
        log.info("restore.found", message=f"Found latest snapshot: {choice.name}")
        for name, collection in manifest.collections.items():
            message = f"Snapshot restored successfully to collection {name}"
            log.info("restore.collection", message=message, collection=name, points=collection.points)
        log.info(
            "restore.finished",
            message=f"Restored {manifest.points} points in {placed.seconds * 1000:.0f} ms",
            manifest=choice.name,
            skipped=choice.skipped,
            files=placed.files,
            bytes=placed.bytes,
            milliseconds=round(placed.seconds * 1000),
            total_milliseconds=round(seconds * 1000),
        )
    points = manifest.points if manifest else 0
    return Restored(start, choice.name, choice.skipped, points, placed.files, placed.bytes, placed.seconds, forced)
