"""Whether the traffic can always get a writer again: backward reachability over the whole graph.

Owns the question of progress; broken invariants are `search`'s.
"""

from collections import deque
from dataclasses import dataclass

from tests.protocol.model import CLOCK, first_world, steps
from tests.protocol.rules import Bounds, Rules
from tests.protocol.search import Origin, Result, trace
from tests.protocol.state import World


def explore_progress(rules: Rules, bounds: Bounds) -> Result:
    """Find a world in which one live instance, alone from then on, can never become the writer.

    Alone means that every other instance is frozen or dead for ever, and that no luck is needed: only the
    instance's own steps and the clock. Worlds that wait for a claim beyond the bound count as well.
    """
    graph = _graph(rules, bounds)
    for who, lists in enumerate(graph.backward):
        good = [at for at, world in enumerate(graph.worlds) if _serves(world, who, bounds)]
        reached = _backward(good, lists)
        for at, world in enumerate(graph.worlds):
            one = world.instances[who]
            if one.mode not in {"unborn", "gone"} and not one.leaving and not reached[at]:
                way = trace(graph.origins, at)
                return Result(len(graph.worlds), f"{'ABCDE'[who]} alone never becomes the writer", way)
    return Result(len(graph.worlds))


@dataclass(slots=True)
class _Graph:
    """Every world; per instance, the worlds from which it or the clock steps into each."""

    worlds: list[World]
    origins: list[Origin]
    backward: list[list[list[int]]]


def _graph(rules: Rules, bounds: Bounds) -> _Graph:
    """Visit every world and keep the steps that need no luck, backward."""
    first = first_world(bounds)
    numbers = {first: 0}
    graph = _Graph([first], [None], [[[]] for _ in range(bounds.instances)])
    for at, world in enumerate(graph.worlds):  # grows while it is walked
        for step in steps(world, rules, bounds):
            to = numbers.setdefault(step.world, len(graph.worlds))
            if to == len(graph.worlds):
                graph.worlds.append(step.world)
                graph.origins.append((at, step.who, step.what))
                for lists in graph.backward:
                    lists.append([])
            if step.unlucky:
                continue
            for who in range(bounds.instances) if step.who == CLOCK else (step.who,):
                graph.backward[who][to].append(at)
    return graph


def _serves(world: World, who: int, bounds: Bounds) -> bool:
    """Say whether `who` is the writer, or waits for a claim beyond the bound."""
    head, one = world.head, world.instances[who]
    if head.epoch >= bounds.epochs and (head.holder != who or head.clean):
        return True  # the next claim lies beyond the bound
    return one.mode == "writer" and (head.holder, head.epoch) == (who, one.epoch) and not head.clean


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
