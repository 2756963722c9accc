"""How something grows: a straight line through samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Slope:
    """What y grows by for one of x, and what it is at 0."""

    per_unit: float
    at_zero: float


def slope(x: Sequence[float], y: Sequence[Sequence[float]]) -> Slope:
    """Fit a line through all samples `y[i]` taken at `x[i]`, least squares. Raises ValueError for a single x."""
    places = [place for place, samples in zip(x, y, strict=True) for _ in samples]
    if len(set(places)) < 2:
        raise ValueError("a slope needs samples at two places")
    per_unit, at_zero = np.polyfit(places, [sample for samples in y for sample in samples], 1)
    return Slope(float(per_unit), float(at_zero))
