"""Breadth-first search over every reachable world, for the shortest way to a broken invariant.

Owns exploration and traces, for every model; knows nothing of a protocol but its steps.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

CLOCK = -1
"""Whose step it is when it is no instance's: the clock's, or the store's."""

World = TypeVar("World", bound=Hashable)


class Step(NamedTuple, Generic[World]):
    """One step: who, what, the world after it, the invariant it broke, and whether it is bad luck."""

    who: int
    what: str
    world: World
    fault: str | None = None
    unlucky: bool = False


Steps = Callable[[World], Iterable[Step[World]]]
"""Every step that is possible in a world."""

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


def explore(first: World, steps: Steps[World], most: int, opening: Iterable[str] = ()) -> Result:
    """Visit every world from `first`, nearest first, `most` at most; stop at the first broken invariant.

    `opening` names the first steps, so that a long way to a fault need not be searched from its beginning.
    """
    lines = list(opening)
    for line in lines:
        first = next(step.world for step in steps(first) if line_of(step.who, step.what) == line)
    worlds = [first]
    origins: list[Origin] = [None]
    seen = {first}
    for at, world in enumerate(worlds):  # grows while it is walked
        for step in steps(world):
            if step.fault is not None:
                way = [*lines, *trace(origins, at), line_of(step.who, step.what)]
                return Result(len(worlds), step.fault, way)
            if step.world not in seen:
                seen.add(step.world)
                worlds.append(step.world)
                origins.append((at, step.who, step.what))
        if len(worlds) > most:
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
