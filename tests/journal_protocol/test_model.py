"""The journal, state by state: no loss with its rules, and what is lost without each of them.

`make models` searches further (minutes). `-s` prints how much was searched and each way to a fault.
"""

from dataclasses import dataclass, replace

import pytest

from tests.journal_protocol import faults, model
from tests.journal_protocol.rules import Bounds, Rules
from tests.protocol.checking import deep, searched, searched_for_progress, told

pytestmark = pytest.mark.timeout(600)

NEAR = Bounds()
OPAQUE = Bounds(backups=2, opaque=frozenset({0}))
FAR = {
    "four writes": Bounds(writes=4, epochs=4, backups=2),
    "three instances, deep": Bounds(instances=3, epochs=4, backups=2),
    "a follower, deep": Bounds(followers=1, backups=2, unheard=1),
    "all at once": Bounds(backups=2, unheard=1, prunes=1, opaque=frozenset({1})),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A protocol with one rule changed, what must be found, and how far to look."""

    name: str
    rules: Rules
    fault: str | None
    bounds: Bounds = NEAR


UNSAFE = (
    Variant("acknowledges before the record is durable", Rules(acknowledge="at once"), faults.LOST),
    Variant("acknowledges over a hole", Rules(acknowledge="own record"), faults.NOWHERE),
    Variant("takes whatever exists for its own lost reply", Rules(acknowledge="any exists"), faults.LOST),
    Variant("seals nothing", Rules(seal="never"), faults.NOWHERE),
    Variant("opens before the seals", Rules(opens="before the seals"), faults.NOWHERE),
    Variant("seals after the highest record", Rules(seal="after the highest"), faults.GROUNDLESS),
    Variant(
        "seals after the highest record, where writes only overwrite",
        Rules(seal="after the highest"),
        faults.NOWHERE,
        Bounds(dependent=False),
    ),
    Variant("seals one epoch where its claimer before had sealed none", Rules(seals="the one before"), faults.NOWHERE),
    Variant("queues writes as they are answered", Rules(queue="answer order"), faults.GROUNDLESS),
    Variant(
        "queues writes as they are answered and sorts them in replay",
        Rules(queue="answer order", replay="operation order"),
        faults.GROUNDLESS,
    ),
    Variant(
        "replays as answered, where writes only overwrite",
        Rules(queue="answer order"),
        faults.REORDERED,
        Bounds(dependent=False),
    ),
    Variant(
        "lets followers apply what was queued as answered",
        Rules(queue="answer order", replay="operation order"),
        faults.SHOWN,
        Bounds(writes=2, epochs=2, followers=1, dependent=False),
    ),
    Variant("takes a position without a barrier", Rules(position="without a barrier"), faults.OLDER_DIFFERS),
    Variant("takes the position when it commits", Rules(position="at the commit"), faults.OLDER_DIFFERS),
    Variant("commits a backup ahead of the journal", Rules(commit="any time"), faults.OLDER_DIFFERS),
    Variant("claims again with the engine it had", Rules(placing="never"), faults.OLDER_DIFFERS),
    Variant("forgets a write without an answer", Rules(unheard="forgotten"), faults.OLDER_DIFFERS, Bounds(unheard=1)),
    Variant(
        "records an opaque write after its backup",
        Rules(opaque_record="after the backup"),
        faults.OLDER_DIFFERS,
        OPAQUE,
    ),
    Variant(
        "records an opaque write while a backup without it is under way",
        Rules(opaque_alone=False),
        faults.REFUSED,
        Bounds(epochs=2, backups=2, opaque=frozenset({1})),
    ),
    Variant("records what follows an opaque write as usual", Rules(opaque_spreads=False), faults.GROUNDLESS, OPAQUE),
    Variant("acknowledges an opaque write as others", Rules(opaque_answer="as others"), faults.LOST, OPAQUE),
    Variant(
        "follows over a hole",
        Rules(follow="over holes"),
        faults.GROUNDLESS,
        Bounds(writes=2, epochs=2, followers=1),
    ),
    Variant(
        "follows past an opaque write",
        Rules(opaque_followed="passed over"),
        faults.BACK,
        Bounds(writes=2, epochs=2, followers=1, backups=1, opaque=frozenset({0})),
    ),
    Variant(
        "catches up past what only a backup holds",
        Rules(caught_up="as far as it goes"),
        faults.REFUSED,
        Bounds(writes=2, epochs=2, followers=1, opaque=frozenset({0})),
    ),
    Variant("prunes seals", Rules(prune="whole epochs"), faults.NOWHERE, Bounds(prunes=1)),
)

NEEDLESS = (
    Variant("sorts by operation in replay, too", Rules(replay="operation order"), None, Bounds(epochs=2)),
    Variant(
        "keeps an engine of which all is durable",
        Rules(placing="unless durable"),
        None,
        Bounds(writes=2, opaque=frozenset({0})),
    ),
    Variant(
        "queues as answered and sorts in replay, where writes only overwrite and none follows",
        Rules(queue="answer order", replay="operation order"),
        None,
        Bounds(epochs=2, dependent=False),
    ),
)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(), id="three writes"),
        pytest.param(Bounds(instances=3, writes=2), id="three instances"),
        pytest.param(Bounds(writes=2, epochs=2, followers=1, backups=2), id="a follower"),
        pytest.param(OPAQUE, id="an opaque write"),
        pytest.param(Bounds(epochs=2, backups=2, unheard=1), id="a write without an answer"),
        pytest.param(Bounds(writes=2, epochs=2, followers=1, opaque=frozenset({0})), id="a follower, an opaque write"),
        pytest.param(Bounds(writes=2, prunes=1), id="retention"),
        *[pytest.param(replace(bounds, fewer_orders=True), id=name, marks=deep) for name, bounds in FAR.items()],
    ],
)
def test_no_order_of_steps_loses_a_write(bounds: Bounds) -> None:
    """With every rule kept, no interleaving within the bounds breaks an invariant."""
    result = told(f"the journal, {bounds}", searched(model, Rules(), bounds))

    assert result.fault is None
    assert result.complete


@pytest.mark.parametrize("variant", UNSAFE, ids=lambda variant: variant.name)
def test_each_rule_carries_its_part_of_the_promise(variant: Variant) -> None:
    """With one rule dropped the search finds the loss, and prints the shortest way to it."""
    assert variant.fault == told(variant.name, searched(model, variant.rules, variant.bounds)).fault


@pytest.mark.parametrize("variant", UNSAFE, ids=lambda variant: variant.name)
def test_the_shorter_search_finds_every_fault(variant: Variant) -> None:
    """What leaves orders of steps out misses no wrong rule, so it may be trusted where only it comes to an end."""
    bounds = replace(variant.bounds, fewer_orders=True)

    assert told(f"{variant.name}, shorter", searched(model, variant.rules, bounds)).fault is not None


@pytest.mark.parametrize("variant", NEEDLESS, ids=lambda variant: variant.name)
def test_no_loss_without_these(variant: Variant) -> None:
    """These rules may be dropped, as far as the variant's name says: no interleaving loses anything."""
    result = told(variant.name, searched(model, variant.rules, variant.bounds))

    assert result.fault is None
    assert result.complete


def test_any_live_instance_can_become_the_writer_alone() -> None:
    """From every reachable world one instance gets there by itself, whatever never arrives and whoever froze."""
    bounds = Bounds(writes=2, opaque=frozenset({0}), unheard=1, epochs=3)

    assert told("progress", searched_for_progress(model, Rules(), bounds)).fault is None


def test_a_writer_that_does_not_leave_is_found() -> None:
    """An old writer that takes no note of the seal never writes again: the search for progress sees it."""
    result = told("does not leave", searched_for_progress(model, Rules(leaves=False), Bounds(writes=1)))

    assert result.fault == "A alone never becomes the writer"
