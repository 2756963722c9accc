"""What one does that is not the writer: follow the journal, claim, seal, replay, open.

Owns the steps of passive instances, claimers and followers.
"""

from collections.abc import Iterator

from tests.journal_protocol import faults
from tests.journal_protocol.replay import Pruned, Stopped, durable_until, is_over, is_stored, replayed, was_committed
from tests.journal_protocol.rules import Bounds, Rules
from tests.journal_protocol.state import NO_SEAL, Instance, Place, World
from tests.journal_protocol.writer import with_instance, with_term
from tests.protocol.search import Step


def claims(world: World, who: int, one: Instance, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield the claim of the next epoch: the swap proves that the backup placed before is the newest still."""
    if world.epoch + 1 < bounds.epochs:
        epoch = world.epoch + 1
        claimed = Instance("claimed", epoch, world.backups[-1] if one.at is None else one.at)
        yield Step(who, f"claims epoch {epoch}", with_instance(world._replace(epoch=epoch, holder=who), who, claimed))


def seals(world: World, who: int, one: Instance, start: Place, rules: Rules) -> Iterator[Step[World]]:
    """Yield the seal of the oldest epoch that has none: one step, since only the try that creates it counts."""
    for epoch in unsealed(world, one, start, rules):
        term = world.terms[epoch]
        if rules.seal == "after the highest":
            position = term.stored.bit_length()
        elif term.pruned:
            position = 0
        else:
            position = durable_until(term, start.position if epoch == start.epoch else 0)
        yield Step(who, f"seals epoch {epoch} at {position}", with_term(world, epoch, term._replace(seal=position)))
        return


def unsealed(world: World, one: Instance, start: Place, rules: Rules) -> list[int]:
    """Return the epochs that a claimer has to seal still."""
    if rules.seal == "never":
        return []
    first = one.epoch - 1 if rules.seals == "the one before" else start.epoch
    return [epoch for epoch in range(first, one.epoch) if world.terms[epoch].seal == NO_SEAL]


def opens(world: World, who: int, one: Instance, start: Place, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield the opening of a claimer's gate after its replay."""
    if rules.opens == "after the seals" and unsealed(world, one, start, rules):
        return
    try:
        content = replayed(world, start, one.epoch, rules)
    except Stopped:
        newest = [backup for backup in world.backups if backup.epoch < one.epoch][-1]
        again = None if start == newest else with_instance(world, who, one._replace(at=newest))
        if again is None or rules.caught_up == "as far as it goes":
            yield Step(who, "cannot open", world, faults.REFUSED)
        else:
            yield Step(who, "places the newest backup", again)
        return
    except Pruned:
        return
    fault = faults.at_opening(world, one.epoch, start, content, rules, bounds)
    after = with_instance(world, who, Instance("writer", one.epoch, Place(one.epoch, 0, content)))
    if one.epoch > world.opened:
        after = after._replace(opened=one.epoch, opened_with=content)
    yield Step(who, f"opens epoch {one.epoch}", after, fault)


def follows(world: World, who: int, at: Place, rules: Rules) -> Iterator[Step[World]]:
    """Yield what a follower at a place in the journal can apply next."""
    term = world.terms[at.epoch]
    position = at.position
    if rules.follow == "over holes":
        position = next((each for each in range(position, len(term.queued)) if is_stored(term, each)), position)
    if is_stored(term, position):
        write, after = record = term.queued[position]
        if after is None:
            to = Place(at.epoch, position + 1, (*at.content, write))
        elif rules.opaque_followed == "passed over":
            to = at._replace(position=position + 1)
        elif was_committed(world, at.epoch, record):
            to = world.backups[-1]
        elif is_over(world, at.epoch):
            to = at._replace(position=position + 1)
        else:
            return
        what = f"follows to {to.position} of epoch {to.epoch}"
    elif term.seal == position and at.epoch + 1 < len(world.terms):
        to = Place(at.epoch + 1, 0, at.content)
        what = f"follows to epoch {to.epoch}"
    else:
        return
    after_that = with_instance(world, who, Instance("follower", at=to))
    yield Step(who, what, after_that, faults.at_following(world, to.content))
