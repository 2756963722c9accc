"""What each figure should be. Owns `goals.toml`'s form."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("goals.toml")


@dataclass(frozen=True, slots=True)
class Goal:
    """The most a figure should be (`at_least`: the least), of its median or its `worst` sample; why it is missed."""

    limit: float
    at_least: bool = False
    worst: bool = False
    missed: str = ""


@functools.cache
def goals() -> dict[str, Goal]:
    """Return the goals by the figure's key. Raises ValueError for one that names no limit, or two."""
    found = {}
    for key, entry in tomllib.loads(_FILE.read_text()).items():
        if ("most" in entry) == ("least" in entry):
            raise ValueError(f"{_FILE.name}: {key!r} needs either `most` or `least`")
        limit = float(entry.get("most", entry.get("least")))
        found[key] = Goal(limit, "least" in entry, entry.get("worst", False), entry.get("missed", ""))
    return found
