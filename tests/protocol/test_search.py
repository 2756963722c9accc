"""The search itself: what it keeps of a world is enough to know it again, and to tell the way to it."""

from functools import partial

from tests.journal_protocol import faults
from tests.journal_protocol import model as journal
from tests.journal_protocol.rules import Bounds, Rules
from tests.protocol.search import explore


def test_a_hash_stands_for_one_world() -> None:
    """No two of some thousand worlds have the same one."""
    bounds = Bounds(writes=2)
    waiting = [journal.first_world(bounds)]
    worlds = set(waiting)
    while waiting:
        new = {step.world for step in journal.steps(waiting.pop(), Rules(), bounds)} - worlds
        worlds |= new
        waiting.extend(new)

    assert len({hash(world) for world in worlds}) == len(worlds) > 5_000


def test_the_way_to_a_fault_can_be_walked() -> None:
    """Its lines, taken one after the other, lead to the world in which the last one breaks the promise."""
    bounds = Bounds(writes=2)
    steps = partial(journal.steps, rules=Rules(seal="never"), bounds=bounds)
    first = journal.first_world(bounds)
    found = explore(first, steps, bounds.states, likeness=journal.likeness)

    assert found.fault == faults.NOWHERE
    again = explore(first, steps, 1, opening=found.trace[:-1])
    assert (again.fault, again.trace) == (found.fault, found.trace)


def test_a_search_that_met_its_bound_says_so() -> None:
    """It went as far as told, and does not claim to have seen all."""
    bounds = Bounds(writes=1)
    steps = partial(journal.steps, rules=Rules(), bounds=bounds)
    first = journal.first_world(bounds)

    assert not explore(first, steps, 100).complete
    assert explore(first, steps, bounds.states).complete
