"""The timeline's geometry: rows of bars, one bar a backup, the newest on the right.

Owns the arithmetic from figures to rectangles. Knows neither backups nor colours: the template draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1000
HEIGHT: Final = 100

# Fewer bars than this do not grow wider: two must not look like a building.
_LEAST_PLACES: Final = 14
_GAP: Final = 0.25
# A bar that stands for something is seen.
_LEAST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle, with the words shown when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    words: str
    beyond: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Bars on one scale. `line`: where a target lies, from the top; None without one."""

    bars: tuple[Bar, ...]
    line: float | None


def row(values: Sequence[tuple[float | None, str]], target: float | None = None) -> Row:
    """Return a row for values in order of time, each with its words; None leaves a gap."""
    known = [value for value, _ in values if value is not None]
    top = max([*known, target or 0.0]) or 1.0
    step = WIDTH / max(len(values), _LEAST_PLACES)
    left = WIDTH - step * len(values)
    bars = []
    for place, (value, words) in enumerate(values):
        if value is None:
            continue
        height = max(value / top * HEIGHT, _LEAST)
        x, beyond = left + (place + _GAP / 2) * step, target is not None and value > target
        bars.append(
            Bar(round(x, 2), round(HEIGHT - height, 2), round(step * (1 - _GAP), 2), round(height, 2), words, beyond)
        )
    return Row(tuple(bars), None if target is None else round(HEIGHT - target / top * HEIGHT, 2))
