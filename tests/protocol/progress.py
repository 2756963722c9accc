"""Whether the traffic can always get a writer again: backward reachability over the whole graph.

Owns the question of progress; broken invariants are `search`'s.
"""

from array import array
from collections import deque
from collections.abc import Callable, Hashable
from typing import TypeVar

from tests.protocol.search import CLOCK, Result, Steps, Ways

World = TypeVar("World", bound=Hashable)
Asked = Callable[[World, int], bool]
"""A question about one instance in a world."""


def explore_progress(
    first: World, steps: Steps[World], instances: int, *, lives: Asked[World], serves: Asked[World]
) -> Result:
    """Find a world in which one that `lives`, alone from then on, can never become one that `serves`.

    Alone means that every other instance is frozen or dead for ever, and that no luck is needed: only the
    instance's own steps and the clock.
    """
    ways = Ways(first, steps)
    numbers = {hash(first): 0}
    waiting = deque([first])
    everyone = range(instances)
    edges = [_Edges() for _ in everyone]
    living = [bytearray() for _ in everyone]
    serving = [bytearray() for _ in everyone]
    at = taken = 0
    while waiting:
        world = waiting.popleft()
        for who in everyone:
            living[who].append(lives(world, who))
            serving[who].append(serves(world, who))
        for which, step in enumerate(steps(world)):
            taken += 1
            to = numbers.setdefault(hash(step.world), len(ways))
            if to == len(ways):
                waiting.append(step.world)
                ways.add(at, which)
            if not step.unlucky:
                for who in everyone if step.who == CLOCK else (step.who,):
                    edges[who].add(at, to)
        at += 1
    for who in everyone:
        reached = edges[who].before(serving[who])
        for number in range(at):
            if living[who][number] and not reached[number]:
                return Result(at, taken, f"{'ABCDE'[who]} alone never becomes the writer", ways.trace(number))
    return Result(at, taken)


class _Edges:
    """One instance's steps, and the clock's, from world to world: for each world a chain of those that lead to it."""

    def __init__(self) -> None:
        self._froms = array("l")
        self._next = array("l")
        self._newest: dict[int, int] = {}

    def add(self, before: int, to: int) -> None:
        """Note a step."""
        self._next.append(self._newest.get(to, -1))
        self._newest[to] = len(self._froms)
        self._froms.append(before)

    def before(self, good: bytearray) -> bytearray:
        """Mark every world from which a good one can be reached."""
        reached = bytearray(good)
        queue = deque(number for number, is_good in enumerate(good) if is_good)
        while queue:
            edge = self._newest.get(queue.popleft(), -1)
            while edge >= 0:
                before = self._froms[edge]
                if not reached[before]:
                    reached[before] = 1
                    queue.append(before)
                edge = self._next[edge]
        return reached
