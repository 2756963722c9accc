"""What a reader of the journal makes of it: where an epoch ends, which records count, what replaying gives.

Owns reading. Changes nothing.
"""

from collections.abc import Iterator

from tests.journal_protocol.rules import Rules
from tests.journal_protocol.state import NO_SEAL, Content, Place, Record, Term, World


class Stopped(Exception):
    """Replay met a write that it cannot repeat and that a committed backup holds."""


class Pruned(Exception):
    """Replay needs records that retention has deleted."""


def is_stored(term: Term, position: int) -> bool:
    """Say whether the record of a position is in the store."""
    return bool(term.stored >> position & 1)


def durable_until(term: Term, start: int = 0) -> int:
    """Return the first position from `start` on without a record in the store."""
    position = start
    while is_stored(term, position):
        position += 1
    return position


def replayed(world: World, start: Place, epoch: int, rules: Rules) -> Content:
    """Return what replaying everything before `epoch` on top of `start` gives. Raises Stopped, Pruned."""
    content = list(start.content)
    for older in range(start.epoch, epoch):
        term = world.terms[older]
        if term.pruned:
            raise Pruned
        records = list(_counting(term, start.position if older == start.epoch else 0, rules))
        if rules.replay == "operation order":
            records.sort(key=lambda record, term=term: term.applied.index(record.write))  # type: ignore[misc]
        for record in records:
            if record.after is None:
                content.append(record.write)
            elif was_committed(world, older, record):
                raise Stopped
    return tuple(content)


def _counting(term: Term, start: int, rules: Rules) -> Iterator[Record]:
    """Yield the records of an epoch that count."""
    if rules.seal == "after the highest":
        yield from (record for at, record in enumerate(term.queued) if at >= start and is_stored(term, at))
    else:
        yield from term.queued[start : durable_until(term, start)]


def was_committed(world: World, epoch: int, record: Record) -> bool:
    """Say whether a committed backup of the epoch holds an opaque write, as far as the record can tell."""
    assert record.after is not None
    return any(backup.epoch == epoch for backup in world.backups[record.after + 1 :])


def is_over(world: World, epoch: int) -> bool:
    """Say whether nothing can be committed or counted in an epoch any more."""
    return world.epoch > epoch and world.terms[epoch].seal != NO_SEAL
