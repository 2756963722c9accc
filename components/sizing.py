"""How much CPU, memory and disk Cloud Run gives, and how much data fits in it.

Pure arithmetic over MiB; owns the presets and Cloud Run's table. Does not read configuration.
"""

import re
from dataclasses import dataclass
from typing import Final

GIB: Final = 1024

# What the engine, HAProxy, the gate and the agent take before the first point (measured: 44 + 15 + 69 + 80
# MiB idle), and room for the engine's own heap.
RESERVED_MIB: Final = 512

# The optimizer writes a second copy of a segment before it drops the first.
COPIES: Final = 2

# vCPU -> least and most memory in MiB that Cloud Run accepts with it (second generation: at least 512 MiB).
CLOUD_RUN_TABLE: Final[dict[int, tuple[int, int]]] = {
    1: (512, 4 * GIB),
    2: (512, 8 * GIB),
    4: (2 * GIB, 16 * GIB),
    6: (4 * GIB, 24 * GIB),
    8: (4 * GIB, 32 * GIB),
}


@dataclass(frozen=True)
class Size:
    """A pair that Cloud Run accepts."""

    cpu: int
    memory_mib: int


SIZES: Final[dict[str, Size]] = {
    "small": Size(1, 2 * GIB),
    "medium": Size(2, 8 * GIB),
    "large": Size(4, 16 * GIB),
    "xlarge": Size(8, 32 * GIB),
}

DISK_LIMITS_MIB: Final = (GIB, 100 * GIB)


def mebibytes(quantity: str) -> int | None:
    """Return the MiB of a quantity such as 512Mi or 8Gi, None where it is not one."""
    match = re.fullmatch(r"([1-9]\d{0,6})(Mi|Gi)", quantity)
    if match is None:
        return None
    return int(match[1]) * (GIB if match[2] == "Gi" else 1)


def quantity(mib: int) -> str:
    """Return MiB as Cloud Run writes it."""
    return f"{mib // GIB}Gi" if mib % GIB == 0 else f"{mib}Mi"


def data_that_fits(memory_mib: int, disk_mib: int) -> int:
    """Return the MiB of data that an instance can hold, restore and optimize."""
    if disk_mib:
        # With the data on a disk, memory holds the ids, the indexes being built and what searches touch.
        return min(disk_mib // COPIES, max(0, memory_mib - RESERVED_MIB) * 4)
    return max(0, memory_mib - RESERVED_MIB) // COPIES


def smallest_for(data_mib: int) -> Size | None:
    """Return the smallest Cloud Run instance whose memory holds the data, None where none does."""
    needed = data_mib * COPIES + RESERVED_MIB
    for cpu, (least, most) in CLOUD_RUN_TABLE.items():
        if needed <= most:
            whole = -(-max(needed, least) // GIB) * GIB
            return Size(cpu, whole)
    return None


def drill_seconds(data_mib: int) -> int:
    """Return how long a drill may take: 20 MiB a second, a tenth of what was measured, and a quarter of an hour."""
    return 900 + data_mib // 20


def sync_seconds(data_mib: int) -> int:
    """Return how long a pull may take: 2 MiB a second, for a source far away and a copy read twice, and an hour."""
    return 3600 + data_mib // 2


def cpu_for(memory_mib: int) -> int | None:
    """Return the fewest vCPUs that may have this much memory."""
    return next((cpu for cpu, (low, high) in CLOUD_RUN_TABLE.items() if low <= memory_mib <= high), None)
