"""Breadth-first search over every reachable world, for the shortest way to a broken invariant.

Owns exploration and traces, for every model; knows nothing of a protocol but its steps. Of a world that was seen only
a hash of 64 bits is kept, of the way to it only which step it was of which world: that is what lets a search of
millions end in little memory. With ten million worlds the chance that one is taken for another is below one in
300,000, and another one at every run, as the hashes of strings are.
"""

from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
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
"""Every step that is possible in a world, always in the same order."""

Likeness = Callable[[World], int]
"""A hash of 64 bits, the same for worlds from which the same faults can be reached."""


@dataclass(slots=True)
class Result:
    """What a search found: how many worlds and steps, and the shortest way to the first fault."""

    states: int
    steps: int
    fault: str | None = None
    trace: list[str] = field(default_factory=list)
    complete: bool = True
    seconds: float = 0.0

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.steps:,} steps, {self.seconds:.1f} s"
        if self.fault is None:
            return f"{size}{'' if self.complete else ' (not all of it)'}: no fault"
        lines = "\n".join(f"  {number:2} {line}" for number, line in enumerate(self.trace, 1))
        return f"{size}: {self.fault}, after {len(self.trace)} steps\n{lines}"


class Ways(Generic[World]):
    """How each world, by its number, was reached first: by which step of which other one."""

    def __init__(self, first: World, steps: Steps[World]) -> None:
        self._first = first
        self._steps = steps
        self._before = array("q", [-1])
        self._which = array("H", [0])

    def __len__(self) -> int:
        return len(self._before)

    def add(self, before: int, which: int) -> None:
        """Note the way to the next world."""
        self._before.append(before)
        self._which.append(which)

    def trace(self, at: int) -> list[str]:
        """Return the steps that lead to a world, by taking them again."""
        taken = []
        while at:
            taken.append(self._which[at])
            at = self._before[at]
        world, lines = self._first, []
        for which in reversed(taken):
            step = next(islice(self._steps(world), which, None))
            world = step.world
            lines.append(line_of(step.who, step.what))
        return lines


def explore(
    first: World, steps: Steps[World], most: int, opening: Iterable[str] = (), likeness: Likeness[World] = hash
) -> Result:
    """Visit every world from `first`, nearest first, `most` at most; stop at the first broken invariant.

    `opening` names the first steps, so that a long way to a fault need not be searched from its beginning.
    """
    lines = list(opening)
    for line in lines:
        first = next(step.world for step in steps(first) if line_of(step.who, step.what) == line)
    ways = Ways(first, steps)
    waiting = deque([first])
    seen = {likeness(first)}
    at = taken = 0
    while waiting and len(seen) <= most:
        for which, step in enumerate(steps(waiting.popleft())):
            taken += 1
            if step.fault is not None:
                way = [*lines, *ways.trace(at), line_of(step.who, step.what)]
                return Result(len(seen), taken, step.fault, way)
            known = likeness(step.world)
            if known not in seen:
                seen.add(known)
                waiting.append(step.world)
                ways.add(at, which)
        at += 1
    return Result(len(seen), taken, complete=not waiting)


def line_of(who: int, what: str) -> str:
    """Say a step in words."""
    return what if who == CLOCK else f"{'ABCDE'[who]} {what}"
