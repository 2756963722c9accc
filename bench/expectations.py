"""The guard: ratios of a short run, compared with what they were.

Owns `expectations.toml`. Ratios alone: absolute times belong to a machine, and no other would keep them.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report import RATIO, Figure

_FILE = Path(__file__).with_name("expectations.toml")

# What a ratio may be: the smallest and the largest.
Bounds = tuple[float, float]


def expectations() -> dict[str, Bounds]:
    """Return the bounds by the figure's key. Raises ValueError when a pair is none."""
    found = {}
    for key, pair in tomllib.loads(_FILE.read_text()).items():
        low, high = map(float, pair)
        if low > high:
            raise ValueError(f"{_FILE.name}: {key!r} ends before it begins")
        found[key] = (low, high)
    return found


def problems(figures: Sequence[Figure], expected: Mapping[str, Bounds]) -> list[str]:
    """Say what is not as expected: a ratio outside its bounds, or one that was not measured."""
    found = {figure.key: figure for figure in figures}
    said = []
    for key, (low, high) in expected.items():
        figure = found.get(key)
        if figure is None:
            said.append(f"{key}: expected, but not measured")
        elif figure.unit != RATIO:
            said.append(f"{key}: measured in {figure.unit!r}; only ratios are compared")
        elif not low <= figure.value <= high:
            said.append(f"{key}: {figure.what}: {figure.value:.3g}, expected {low:g} to {high:g}")
    return said
