"""How much is measured how often: the full run that fills the report, and the short one that guards it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Points of 768 dimensions, collections, and repetitions.

    `kinds` are the kinds of data beside plain vectors, `growth` the points of a series, smallest first.
    """

    large: int
    small: int
    collections: int
    unsaved: int
    repetitions: int
    round_seconds: float
    connections: tuple[int, ...]
    growth: tuple[int, ...]
    kinds: tuple[str, ...] = ("many", "payload", "sparse", "quantized")


FULL: Final = Sizes(
    large=200_000,
    small=20_000,
    collections=200,
    unsaved=100_000_000 // (768 * 4),
    repetitions=5,
    round_seconds=0.8,
    connections=(4, 16),
    growth=(40_000, 120_000, 320_000),
)

# Large enough that moving data is most of it, small enough that all ratios of it take some minutes.
QUICK: Final = Sizes(
    large=20_000,
    small=5_000,
    collections=5,
    unsaved=10_000,
    repetitions=3,
    round_seconds=0.5,
    connections=(4,),
    growth=(2_000, 8_000, 20_000),
    kinds=("many",),
)

# Proves that everything runs; its figures mean nothing.
TINY: Final = Sizes(
    large=1_000,
    small=500,
    collections=3,
    unsaved=500,
    repetitions=1,
    round_seconds=0.2,
    connections=(4,),
    growth=(200, 400, 600),
    kinds=("many", "sparse"),
)
