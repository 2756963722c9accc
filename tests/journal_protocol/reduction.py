"""Which orders of steps a search may leave out, because it finds a fault without them if there is one.

Owns the arguments. `test_the_shorter_search_finds_every_fault` holds them against every wrong rule there is.

- **Records arrive in order.** Where the journal is read as a prefix, a record behind a hole is as good as one that
  is still on its way: it can arrive at once when the hole is filled, and behind a seal nobody reads it.
- **A write is acknowledged as soon as it may be.** No step depends on an acknowledgement, and one more of them never
  makes a fault disappear. One that would come too late is a loss at the opening before it.
- **A write is queued as soon as it is applied**, where only one can be the next and no record is opaque. Before it is
  queued it can do nothing but hold up a backup, and be missing like one that never arrives.
"""

from tests.journal_protocol.rules import Bounds, Rules
from tests.journal_protocol.state import World
from tests.journal_protocol.writer import acknowledges, queues
from tests.protocol.search import Step


def reads_prefixes(rules: Rules) -> bool:
    """Say whether everybody reads an epoch's records up to the first hole only."""
    prefix = rules.acknowledge in {"durable prefix", "at once"}
    return prefix and rules.seal != "after the highest" and rules.follow == "without holes"


def at_once(world: World, rules: Rules, bounds: Bounds) -> Step[World] | None:
    """Return a step before which no other has to be taken, if there is one and it breaks nothing."""
    for who, one in enumerate(world.instances):
        if one.mode != "writer":
            continue
        for step in acknowledges(world, who, one.epoch, rules):
            if step.fault is None:
                return step
        if _queues_at_once(rules, bounds):
            for step in queues(world, who, one.epoch, rules, bounds):
                return step
    return None


def _queues_at_once(rules: Rules, bounds: Bounds) -> bool:
    """Say whether it makes no difference how long an applied write waits for its place."""
    in_order = rules.queue == "operation order" and rules.position == "at the barrier" and rules.placing == "afresh"
    return in_order and not bounds.opaque and not bounds.unheard
