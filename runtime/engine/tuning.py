"""Qdrant's settings for a small container whose disk may be memory, and whether data fits in there at all.

Owns the arithmetic from what the container may use to what Qdrant is told; each of these gives way to the variable of
the same name that a user sets. Pure: what the container may use is read elsewhere.

On a disk that is memory, a vector kept in memory is there twice. So indexes stay on the "disk", nothing is read ahead,
and the optimizer, which writes a segment anew beside the old one, gets segments of a bounded size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.container import Allowance
from runtime.errors import ConfigError

GIB: Final = 1 << 30
_MIB: Final = 1 << 20

# An idle engine has 44 MB resident and HAProxy 15 MB (both measured); the supervisor stays below 80 MB.
OVERHEAD_BYTES: Final = 160 * _MIB
# For searching, for new segments beside old ones, and for growing.
_COMFORT: Final = 1.6
# Cloud Run's pairs: so many processors can have at most so much memory.
# https://cloud.google.com/run/docs/configuring/services/memory-limits
_CLOUD_RUN: Final = ((1, 4), (2, 8), (4, 16), (6, 24), (8, 32))

_ALWAYS: Final[Mapping[str, str]] = {
    "QDRANT__LOG_LEVEL": "WARN",
    "QDRANT__LOGGER__FORMAT": "json",
    "QDRANT__TELEMETRY_DISABLED": "true",
    # Fixed when a collection is made; a stock 32 MB goes into every snapshot, and is asked for twice over on disk.
    "QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "2",
}


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for data. `memory_disk`: files live in memory. `disk_bytes`: what its disk takes, or None."""

    allowance: Allowance
    memory_disk: bool
    disk_bytes: int | None


def tuning(allowance: Allowance, *, memory_disk: bool) -> dict[str, str]:
    """Return Qdrant's environment for what the container may use."""
    processors = max(1, math.ceil(allowance.processors))
    few = processors <= 2
    chosen = {
        **_ALWAYS,
        "QDRANT_NUM_CPUS": str(processors),
        "QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER": "1" if few else "2",
        "QDRANT__STORAGE__PERFORMANCE__MAX_SEARCH_THREADS": str(max(2, processors)),
        # Collections are opened one after the other unless told otherwise, and a start waits for the last.
        "QDRANT__STORAGE__PERFORMANCE__MAX_CONCURRENT_COLLECTION_LOADS": "4",
    }
    if few:
        chosen["QDRANT__STORAGE__PERFORMANCE__OPTIMIZER_CPU_BUDGET"] = "1"
    if memory_disk:
        largest = max(allowance.memory_bytes // 8, 64 * _MIB)
        chosen |= {
            "QDRANT__STORAGE__COLLECTION__VECTORS__ON_DISK": "true",
            "QDRANT__STORAGE__HNSW_INDEX__ON_DISK": "true",
            "QDRANT__STORAGE__LOW_MEMORY_MODE": "no_populate",
            "QDRANT__STORAGE__OPTIMIZERS__MAX_SEGMENT_SIZE_KB": str(largest // 1024),
        }
    return chosen


def refuse_what_cannot_fit(data_bytes: int, room: Room) -> None:
    """Raise ConfigError, with the size that would do, when data cannot be placed here and served."""
    if room.memory_disk and data_bytes + OVERHEAD_BYTES > room.allowance.memory_bytes:
        raise ConfigError(
            f"the backup's {data_bytes:,} bytes cannot fit in the {room.allowance.memory_bytes:,} bytes of memory "
            f"that this container may use: {OVERHEAD_BYTES:,} are needed beside them",
            hint=f"Give it {_advice(data_bytes)}",
        )
    if room.disk_bytes is not None and data_bytes > room.disk_bytes:
        raise ConfigError(
            f"the backup's {data_bytes:,} bytes cannot fit in the {room.disk_bytes:,} bytes that the storage "
            "directory's disk has left",
            hint=f"Give it a disk of at least {_gib(data_bytes * _COMFORT)} GiB, or point QDRANT_STORAGE_DIR to one",
        )


def _advice(data_bytes: int) -> str:
    gib = _gib(data_bytes * _COMFORT + OVERHEAD_BYTES)
    for processors, most in _CLOUD_RUN:
        if gib <= most:
            return f"at least {gib} GiB of memory, which Cloud Run has from {processors} CPU"
    return f"{gib} GiB of memory, more than Cloud Run has: keep less in it, or quantize"


def _gib(count: float) -> int:
    return math.ceil(count / GIB)
