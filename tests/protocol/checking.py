"""What every model's tests do: search it for a fault, or for a world from which no writer comes, and print that.

Owns the depth that is asked for. `make models` searches further (minutes); `-s` prints how much was searched and each
way to a fault.
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Protocol

import pytest

from tests.protocol.progress import explore_progress
from tests.protocol.search import Result, Step, explore

deep = (pytest.mark.deep, pytest.mark.timeout(1800))
"""Marks what only `make models` runs."""


class Model(Protocol):
    """A module with a protocol's steps. Its rules, bounds and worlds are its own."""

    def first_world(self, bounds: Any, /) -> Hashable:
        """Return the world to start from."""

    def steps(self, world: Any, rules: Any, bounds: Any) -> Iterable[Step[Any]]:
        """Yield every step possible in a world."""

    def likeness(self, world: Any, /) -> int:
        """Hash what counts of a world."""

    def lives(self, world: Any, who: int, /) -> bool:
        """Say whether an instance could become the writer."""

    def serves(self, world: Any, who: int, bounds: Any) -> bool:
        """Say whether it is the writer."""


def searched(model: Model, rules: Any, bounds: Any, opening: Iterable[str] = ()) -> Result:
    """Search a protocol for a broken invariant."""
    began = monotonic()
    steps = partial(model.steps, rules=rules, bounds=bounds)
    result = explore(model.first_world(bounds), steps, bounds.states, opening, model.likeness)
    return replace(result, seconds=monotonic() - began)


def searched_for_progress(model: Model, rules: Any, bounds: Any) -> Result:
    """Search a protocol for a world from which no writer comes."""
    began = monotonic()
    result = explore_progress(
        model.first_world(bounds),
        partial(model.steps, rules=rules, bounds=bounds),
        bounds.instances,
        lives=model.lives,
        serves=partial(model.serves, bounds=bounds),
    )
    return replace(result, seconds=monotonic() - began)


def told(name: str, result: Result) -> Result:
    """Print a result for those who run with -s."""
    print(f"\n{name}: {result}")  # noqa: T201 (the figures are the point of these tests)
    return result
