"""Whether the traffic can always get a writer again: backward reachability over the whole graph.

Owns the question of progress; broken invariants are `search`'s.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.protocol.search import CLOCK, Origin, Result, Steps, trace

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
    graph = _graph(first, steps, instances)
    for who, lists in enumerate(graph.backward):
        good = [at for at, world in enumerate(graph.worlds) if serves(world, who)]
        reached = _backward(good, lists)
        for at, world in enumerate(graph.worlds):
            if lives(world, who) and not reached[at]:
                way = trace(graph.origins, at)
                return Result(len(graph.worlds), f"{'ABCDE'[who]} alone never becomes the writer", way)
    return Result(len(graph.worlds))


@dataclass(slots=True)
class _Graph(Generic[World]):
    """Every world; per instance, the worlds from which it or the clock steps into each."""

    worlds: list[World]
    origins: list[Origin]
    backward: list[list[list[int]]]


def _graph(first: World, steps: Steps[World], instances: int) -> _Graph[World]:
    """Visit every world and keep the steps that need no luck, backward."""
    numbers = {first: 0}
    graph = _Graph([first], [None], [[[]] for _ in range(instances)])
    for at, world in enumerate(graph.worlds):  # grows while it is walked
        for step in steps(world):
            to = numbers.setdefault(step.world, len(graph.worlds))
            if to == len(graph.worlds):
                graph.worlds.append(step.world)
                graph.origins.append((at, step.who, step.what))
                for lists in graph.backward:
                    lists.append([])
            if step.unlucky:
                continue
            for who in range(instances) if step.who == CLOCK else (step.who,):
                graph.backward[who][to].append(at)
    return graph


def _backward(good: list[int], lists: list[list[int]]) -> bytearray:
    """Mark every world from which a good one can be reached."""
    reached = bytearray(len(lists))
    for at in good:
        reached[at] = 1
    queue = deque(good)
    while queue:
        for before in lists[queue.popleft()]:
            if not reached[before]:
                reached[before] = 1
                queue.append(before)
    return reached
