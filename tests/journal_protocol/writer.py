"""What a writer does: apply, queue, acknowledge, back up, and find that it is none any more.

Owns the writer's steps.
"""

from collections.abc import Iterator

from tests.journal_protocol import faults
from tests.journal_protocol.replay import durable_until, is_stored
from tests.journal_protocol.rules import Bounds, Rules
from tests.journal_protocol.state import NO_SEAL, PASSIVE, Content, Instance, Place, Record, Term, World
from tests.protocol.search import Step


def writer_steps(world: World, who: int, one: Instance, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield what a writer can do next."""
    assert one.at is not None
    term = world.terms[one.epoch]
    engine = one.at.content + term.applied
    begun = sum(len(each.applied) for each in world.terms)
    if begun < bounds.writes:
        after = with_term(world, one.epoch, term._replace(applied=(*term.applied, begun)))
        yield Step(who, f"applies write {begun}", after)
    yield from queues(world, who, one.epoch, rules, bounds)
    yield from acknowledges(world, who, one.epoch, rules)
    yield from _backs_up(world, who, one, engine, rules, bounds)
    if rules.leaves and (world.epoch != one.epoch or NO_SEAL < term.seal < len(term.queued)):
        clean = len(term.queued) == len(term.applied) == durable_until(term) and not _holds_opaque(world, one.epoch)
        kept = rules.placing == "never" or (rules.placing == "unless durable" and clean)
        at = Place(one.epoch, len(term.queued), engine) if kept else None
        yield Step(who, "finds that it is not the writer", with_instance(world, who, PASSIVE._replace(at=at)))


def with_instance(world: World, who: int, one: Instance) -> World:
    """Replace one instance."""
    instances = world.instances
    return world._replace(instances=(*instances[:who], one, *instances[who + 1 :]))


def with_term(world: World, epoch: int, term: Term) -> World:
    """Replace one epoch."""
    terms = world.terms
    return world._replace(terms=(*terms[:epoch], term, *terms[epoch + 1 :]))


def queues(world: World, who: int, epoch: int, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield how the engine's answers come, each of which gives its write the next place in the journal."""
    term = world.terms[epoch]
    for write in _unqueued(world, term, rules):
        opaque = _is_opaque(world, epoch, write, rules, bounds)
        backup = world.instances[who].backup
        if rules.opaque_record == "before the backup" or not opaque:
            ready = not (opaque and rules.opaque_alone and backup is not None)
            after = len(world.backups) - 1
        else:
            ready = write in world.backups[-1].content
            after = len(world.backups) - 2
        if ready:
            record = Record(write, after if opaque else None)
            then = with_term(world, epoch, term._replace(queued=(*term.queued, record)))
            yield Step(who, f"queues {'opaque ' if opaque else ''}write {write}", then)
        if len(world.unheard) < bounds.unheard and write not in world.unheard:
            unheard = world._replace(unheard=world.unheard | {write})
            yield Step(who, f"never hears of write {write}", unheard, unlucky=True)
        if rules.queue == "operation order":
            return


def _unqueued(world: World, term: Term, rules: Rules) -> list[int]:
    """Return the writes that the engine applied and that have no place in the journal yet, in its order."""
    queued = {record.write for record in term.queued}
    forgotten = world.unheard if rules.unheard == "forgotten" else frozenset()
    return [write for write in term.applied if write not in queued and write not in forgotten]


def _is_opaque(world: World, epoch: int, write: int, rules: Rules, bounds: Bounds) -> bool:
    """Say whether a write is recorded as one that cannot be replayed."""
    if write in bounds.opaque or write in world.unheard:
        return True
    return rules.opaque_spreads and _holds_opaque(world, epoch)


def _holds_opaque(world: World, epoch: int) -> bool:
    """Say whether an opaque write was recorded that no committed backup holds."""
    queued = enumerate(world.terms[epoch].queued)
    return any(after is not None and not _is_backed_up(world, epoch, position) for position, (_, after) in queued)


def _is_backed_up(world: World, epoch: int, position: int) -> bool:
    """Say whether a committed backup contains the record of a position."""
    return any(backup.epoch == epoch and backup.position > position for backup in world.backups)


def acknowledges(world: World, who: int, epoch: int, rules: Rules) -> Iterator[Step[World]]:
    """Yield which writes can be acknowledged."""
    term = world.terms[epoch]
    for position, (write, after) in enumerate(term.queued):
        if write in world.acknowledged or write in world.unheard:
            continue
        if after is not None and rules.opaque_answer == "after the backup":
            contained = _is_backed_up(world, epoch, position) or rules.opaque_record == "after the backup"
            ready = contained and durable_until(term) > position
        else:
            ready = _may_acknowledge(term, position, rules)
        if ready:
            done = world._replace(acknowledged=world.acknowledged | {write})
            yield Step(who, f"acknowledges write {write}", done, faults.at_answer(world, epoch, write))


def _may_acknowledge(term: Term, position: int, rules: Rules) -> bool:
    """Say whether enough is in the store to acknowledge the write of a position."""
    match rules.acknowledge:
        case "durable prefix":
            return durable_until(term) > position
        case "own record":
            return is_stored(term, position)
        case "at once":
            return True
        case "any exists":
            return all(is_stored(term, at) or at == term.seal for at in range(position + 1))


def _backs_up(
    world: World, who: int, one: Instance, engine: Content, rules: Rules, bounds: Bounds
) -> Iterator[Step[World]]:
    """Yield the steps of a backup: at the barrier, and its commit, which another's claim prevents."""
    term = world.terms[one.epoch]
    if one.backup is None:
        waiting = _unqueued(world, term, rules)
        if rules.opaque_record == "after the backup":
            waiting = [write for write in waiting if write not in bounds.opaque]
        quiet = rules.position == "without a barrier" or not waiting
        if quiet and len(world.backups) <= bounds.backups and engine != world.backups[-1].content:
            backup = Place(one.epoch, len(term.queued), engine)
            yield Step(who, "takes a backup", with_instance(world, who, one._replace(backup=backup)))
        return
    then = one._replace(backup=None)
    yield Step(who, "gives its backup up", with_instance(world, who, then), unlucky=True)
    backup = one.backup
    if rules.position == "at the commit":
        backup = backup._replace(position=len(term.queued))
    durable = durable_until(term) >= backup.position or rules.commit == "any time"
    if durable and world.epoch == one.epoch:
        done = with_instance(world._replace(backups=(*world.backups, backup)), who, then)
        yield Step(who, "commits its backup", done, faults.at_commit(world, backup))
