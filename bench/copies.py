"""What else one could do with the storage folder: copy it, or have restic or rclone copy what changed.

Owns their command lines. A copy of a running engine's folder is torn when somebody writes meanwhile; here nobody does.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench.stock import Moved

# A secret that guards nothing; restic wants one.
_RESTIC: Final = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_PROGRESS_FPS": "0.1"}
_SOME_FILES_CHANGED = 3

Copy = Callable[[Path, Path], Moved]


def copies() -> Mapping[str, Copy]:
    """Return the tools that are at hand: `copy(storage, target)`, target the same from copy to copy."""
    return {name: copy for name, copy in (("restic", restic), ("rclone", rclone)) if shutil.which(name)}


def restic(storage: Path, target: Path) -> Moved:
    """Back up with restic into a repository in a folder."""
    if not (target / "config").exists():
        _run(["restic", "init", "--quiet", "--repo", str(target)])
    started = time.monotonic()
    done = _run(["restic", "backup", "--quiet", "--json", "--no-cache", "--repo", str(target), str(storage)])
    seconds = time.monotonic() - started
    return Moved(seconds, int(json.loads(done.splitlines()[-1])["data_added"]))


def rclone(storage: Path, target: Path) -> Moved:
    """Synchronise a folder with rclone: what has another size or time is copied whole."""
    started = time.monotonic()
    done = _run(
        ["rclone", "sync", str(storage), str(target), "--use-json-log", "--stats=1h", "--stats-log-level=NOTICE"]
    )
    seconds = time.monotonic() - started
    stats = [entry["stats"]["bytes"] for entry in map(json.loads, done.splitlines()) if "stats" in entry]
    return Moved(seconds, int(stats[-1]))


def cp(source: Path, target: Path) -> Moved:
    """Copy a folder."""
    started = time.monotonic()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    return Moved(time.monotonic() - started, 0)


def raw(size: int, target: Path) -> float:
    """Write so many bytes into a file and onto the disk, as they are; returns the seconds."""
    block = os.urandom(1 << 20)
    started = time.monotonic()
    with target.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - started


def into_memory(tree: Path) -> float:
    """Read every byte of a folder and keep none; returns the seconds."""
    buffer = bytearray(1 << 20)
    started = time.monotonic()
    for path in (path for path in tree.rglob("*") if path.is_file()):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.monotonic() - started


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, env=_RESTIC, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode not in {0, _SOME_FILES_CHANGED}:
        raise RuntimeError(f"{' '.join(command[:2])} ended with {done.returncode}: {done.stdout[-500:]}")
    return done.stdout
