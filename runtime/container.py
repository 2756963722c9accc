"""What this container may use: processors and memory, as its control group or the machine says.

Owns the reading of /sys/fs/cgroup (both versions), /proc and the disk's own figures. Decides nothing with it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_PROCESSES: Final = Path("/proc")
# Version 1 says "no limit" with a number beyond any machine.
_NO_LIMIT: Final = 1 << 60
_MEMORY_DISKS: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of this container."""

    processors: float
    memory_bytes: int


def allowance(groups: Path = _GROUPS, processes: Path = _PROCESSES) -> Allowance:
    """Return the limits: the control group's where it has some, else the machine's."""
    machine = _machine_memory(processes)
    memory = _number(groups / "memory.max") or _number(groups / "memory" / "memory.limit_in_bytes") or machine
    return Allowance(_processors(groups), min(memory, machine) if machine else memory)


def memory_used(groups: Path = _GROUPS) -> int | None:
    """Return the bytes in use, files on a memory disk included and the cache of a real one not; None if untold."""
    for used, cache, folder in (
        ("memory.current", "inactive_file", groups),
        ("memory.usage_in_bytes", "total_inactive_file", groups / "memory"),
    ):
        if (value := _number(folder / used)) is not None:
            return max(value - _entry(folder / "memory.stat", cache), 0)
    return None


def is_memory_disk(folder: Path, *, on_cloud_run: bool, processes: Path = _PROCESSES) -> bool:
    """Tell whether files in a folder, or in the one that it will be made in, live in memory.

    On Cloud Run the container's own file system does too, whatever it calls itself.
    """
    place = folder.resolve()
    mounts = [line.split() for line in (_text(processes / "self" / "mounts") or "").splitlines()]
    kinds = {words[1].replace("\\040", " "): words[2] for words in mounts if len(words) > 2}
    for point in (place, *place.parents):
        if (kind := kinds.get(str(point))) is not None:
            return kind in _MEMORY_DISKS or (on_cloud_run and str(point) == "/")
    return on_cloud_run


def disk_left(folder: Path) -> int | None:
    """Return the bytes a folder may come to hold: what is free on its disk and what it has already; None if untold."""
    place = next((parent for parent in (folder, *folder.resolve().parents) if parent.exists()), None)
    if place is None:
        return None
    told = os.statvfs(place)
    if told.f_blocks == 0:  # some sandboxes tell nothing
        return None
    held = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    return told.f_bavail * told.f_frsize + held


def _processors(groups: Path) -> float:
    machine = float(len(os.sched_getaffinity(0)))
    quota, _, period = (_text(groups / "cpu.max") or "").partition(" ")
    if not period:
        quota = _text(groups / "cpu" / "cpu.cfs_quota_us") or ""
        period = _text(groups / "cpu" / "cpu.cfs_period_us") or ""
    if quota.isdigit() and period.isdigit() and int(period):
        return min(int(quota) / int(period), machine)
    return machine


def _machine_memory(processes: Path) -> int:
    return _entry(processes / "meminfo", "MemTotal:") * 1024


def _entry(file: Path, name: str) -> int:
    """Return the number that stands behind a name in a file of names and numbers; 0 when it has none."""
    for line in (_text(file) or "").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return 0


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text and text.isdigit() and int(text) < _NO_LIMIT else None


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
