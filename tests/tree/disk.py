"""Directories on the disk, made from plain data and told back as such, with none of the code under test."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

# A path's bytes; a link's target; None for a directory.
Plan: TypeAlias = Mapping[str, bytes | str | None]
Told: TypeAlias = dict[str, tuple[str, int, int, bytes | str]]


def make(root: Path, plan: Plan) -> Path:
    """Make a directory that holds exactly this, parents included."""
    root.mkdir(parents=True)
    for path, what in plan.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            place.mkdir(exist_ok=True)
        elif isinstance(what, bytes):
            place.write_bytes(what)
        else:
            os.symlink(what, place)  # noqa: PTH211  as it is said
    return root


def told(root: Path) -> Told:
    """Return everything of a directory that must come back: kind, permissions, time, and content."""
    found: Told = {".": _told(root)}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            place = Path(folder, name)
            found[str(place.relative_to(root))] = _told(place)
    return found


def names(folder: Path) -> set[str]:
    """Return the names of what is in a directory."""
    return {path.name for path in folder.iterdir()}


def _told(place: Path) -> tuple[str, int, int, bytes | str]:
    """Return what there is to tell of one entry."""
    facts = place.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return "link", 0, facts.st_mtime_ns, os.readlink(place)  # noqa: PTH115  as it is said
    mode = facts.st_mode & 0o777
    if stat.S_ISDIR(facts.st_mode):
        return "directory", mode, facts.st_mtime_ns, ""
    return "file", mode, facts.st_mtime_ns, place.read_bytes()
