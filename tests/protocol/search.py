"""Breadth-first search over every reachable world, for the shortest way to a broken invariant.

Owns exploration and traces; knows nothing of the protocol but its steps.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.protocol.model import CLOCK, first_world, steps
from tests.protocol.rules import Bounds, Rules

Origin = tuple[int, int, str] | None
"""How a world was reached first: from which, by whose step, and which."""


@dataclass(slots=True)
class Result:
    """What a search found: how many worlds, and the shortest way to the first fault."""

    states: int
    fault: str | None = None
    trace: list[str] = field(default_factory=list)
    complete: bool = True

    def __str__(self) -> str:
        if self.fault is None:
            return f"{self.states} states{'' if self.complete else ' (bound)'}: no fault"
        lines = "\n".join(f"  {number:2} {line}" for number, line in enumerate(self.trace, 1))
        return f"{self.states} states: {self.fault}, after {len(self.trace)} steps\n{lines}"


def explore(rules: Rules, bounds: Bounds, opening: Iterable[str] = ()) -> Result:
    """Visit every world within the bounds, nearest first; stop at the first broken invariant.

    `opening` names the first steps, so that a long way to a fault need not be searched from its beginning.
    """
    lines = list(opening)
    first = first_world(bounds)
    for line in lines:
        first = next(step.world for step in steps(first, rules, bounds) if line_of(step.who, step.what) == line)
    worlds = [first]
    origins: list[Origin] = [None]
    seen = {first}
    for at, world in enumerate(worlds):  # grows while it is walked
        for step in steps(world, rules, bounds):
            if step.fault is not None:
                way = [*lines, *trace(origins, at), line_of(step.who, step.what)]
                return Result(len(worlds), step.fault, way)
            if step.world not in seen:
                seen.add(step.world)
                worlds.append(step.world)
                origins.append((at, step.who, step.what))
        if len(worlds) > bounds.states:
            return Result(len(worlds), complete=False)
    return Result(len(worlds))


def line_of(who: int, what: str) -> str:
    """Say a step in words."""
    return what if who == CLOCK else f"{'ABCDE'[who]} {what}"


def trace(origins: list[Origin], at: int) -> list[str]:
    """Return the steps that lead to a world."""
    lines = []
    while (origin := origins[at]) is not None:
        at, who, what = origin
        lines.append(line_of(who, what))
    return lines[::-1]
