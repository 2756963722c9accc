"""Every step that an instance, the store or retention can take in a given world of the journal.

Owns which steps there are. A writer's are in `writer`, everybody else's in `claimer`.
"""

from collections.abc import Iterator

from tests.journal_protocol import reduction
from tests.journal_protocol.claimer import claims, follows, opens, seals
from tests.journal_protocol.replay import durable_until, is_stored
from tests.journal_protocol.rules import Bounds, Rules
from tests.journal_protocol.state import NO_SEAL, NOBODY, PASSIVE, START, Instance, Term, World
from tests.journal_protocol.writer import with_instance, with_term, writer_steps
from tests.protocol.search import CLOCK, Step


def first_world(bounds: Bounds) -> World:
    """Return a world with a writer at work, passive instances and followers beside it, and an empty first backup."""
    passive = (PASSIVE,) * (bounds.instances - 1)
    followers = (Instance("follower", at=START),) * bounds.followers
    instances = (Instance("writer", 0, START), *passive, *followers)
    return World(0, 0, (START,), (Term(),) * bounds.epochs, instances)


def steps(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Every step possible now, or with `fewer_orders` enough of them to find a fault if there is one."""
    if bounds.fewer_orders and (step := reduction.at_once(world, rules, bounds)):
        yield step
        return
    for who, one in enumerate(world.instances):
        if one.mode in {"claimed", "writer"}:
            yield Step(who, "crashes, and another starts", with_instance(world, who, PASSIVE), unlucky=True)
        yield from _own_steps(world, who, one, rules, bounds)
    for epoch, term in enumerate(world.terms):
        yield from _arrivals(world, epoch, term, in_order=bounds.fewer_orders and reduction.reads_prefixes(rules))
        yield from _pruning(world, epoch, term, rules, bounds)


def _own_steps(world: World, who: int, one: Instance, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield what one instance can do."""
    if one.mode in {"passive", "follower"}:
        yield from claims(world, who, one, bounds)
    if one.at is None:
        return
    if one.mode == "follower":
        yield from follows(world, who, one.at, rules)
    if one.mode == "claimed":
        yield from seals(world, who, one, one.at, rules)
        yield from opens(world, who, one, one.at, rules, bounds)
    if one.mode == "writer":
        if rules.opens == "before the seals":
            yield from seals(world, who, one, START, rules)
        yield from writer_steps(world, who, one, rules, bounds)


def _arrivals(world: World, epoch: int, term: Term, *, in_order: bool) -> Iterator[Step[World]]:
    """Yield the records on their way that may reach the store now: each is created if nothing is there."""
    for position, record in enumerate(term.queued):
        if in_order and position > durable_until(term):
            return
        if not is_stored(term, position) and position != term.seal and not (term.pruned and position < term.seal):
            stored = with_term(world, epoch, term._replace(stored=term.stored | 1 << position))
            what = f"write {record.write} reaches {position} of epoch {epoch}"
            yield Step(CLOCK, what, stored, unlucky=True)


def _pruning(world: World, epoch: int, term: Term, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield the deletion of what no kept backup needs: records before the newest one's epoch."""
    if epoch < world.backups[-1].epoch and not term.pruned and sum(each.pruned for each in world.terms) < bounds.prunes:
        seal = NO_SEAL if rules.prune == "whole epochs" else term.seal
        yield Step(CLOCK, f"epoch {epoch} is pruned", with_term(world, epoch, term._replace(pruned=True, seal=seal)))


def likeness(world: World) -> int:
    """Hash a world without which instance is which: no step asks for that."""
    return hash(world._replace(holder=NOBODY, instances=tuple(sorted(world.instances, key=hash))))


def lives(world: World, who: int) -> bool:
    """Say whether an instance could become the writer: a follower only follows."""
    return world.instances[who].mode != "follower"


def serves(world: World, who: int, bounds: Bounds) -> bool:
    """Say whether `who` is the writer, or waits for a claim beyond the bound."""
    one = world.instances[who]
    if world.epoch + 1 == bounds.epochs and world.holder != who:
        return True
    if world.epoch + 1 == bounds.epochs and one.mode == "passive":
        return True
    return one.mode == "writer" and one.epoch == world.epoch
