"""What must never happen, asked where it would happen: at an opening, an acknowledgement, a commit, a follower.

Owns the invariants. Where writes are `dependent`, each may mean something else, or be refused, without the ones
before it; where they are not, they overwrite one point, and only their order counts.
"""

from itertools import pairwise

from tests.journal_protocol.replay import Pruned, Stopped, replayed
from tests.journal_protocol.rules import Bounds, Rules
from tests.journal_protocol.state import Content, Place, World

LOST = "an acknowledged write is lost"
NOWHERE = "a write is acknowledged into nowhere"
TWICE = "a write is applied twice"
REORDERED = "writes are replayed in another order than the engine's"
GROUNDLESS = "a write is replayed without what it was applied to"
DISAGREE = "two writers disagree about the history"
OLDER_DIFFERS = "an older backup and its journal give another state"
REFUSED = "the newest backup cannot be replayed"
REFUSED_WRONGLY = "a start is refused for a write that never was"
BACK = "what is in a committed backup is gone"
SHOWN = "a follower shows what never was"


def at_opening(world: World, epoch: int, start: Place, content: Content, rules: Rules, bounds: Bounds) -> str | None:
    """Name what an opening with `content` breaks."""
    done = {write for term in world.terms[:epoch] for write in term.applied}
    if world.acknowledged & done - set(content):
        return LOST
    return (
        _of_order(world, epoch, content, bounds)
        or (None if _agree(world.opened_with, content) else DISAGREE)
        or (None if all(_agree(at.content, content) for at in _followers(world)) else SHOWN)
        or _of_newest_backup(world, epoch, content)
        or _of_older_backups(world, epoch, start, content, rules)
    )


def _of_order(world: World, epoch: int, content: Content, bounds: Bounds) -> str | None:
    """Name what is wrong with the order in which writes stand."""
    if len(set(content)) < len(content):
        return TWICE
    for term in world.terms[:epoch]:
        places = [content.index(write) for write in term.applied if write in content]
        if any(after < before for before, after in pairwise(places)):
            return REORDERED
        if bounds.dependent and not all(write in content for write in term.applied[: len(places)]):
            return GROUNDLESS
    return None


def _of_newest_backup(world: World, epoch: int, content: Content) -> str | None:
    """Name what is wrong with a state that is not the newest backup's or one after it."""
    newest = [backup for backup in world.backups if backup.epoch < epoch][-1]
    return None if content[: len(newest.content)] == newest.content else BACK


def _of_older_backups(world: World, epoch: int, start: Place, content: Content, rules: Rules) -> str | None:
    """Name what goes wrong where the newest backup is rotten and an older one is replayed."""
    for backup in world.backups:
        if backup.epoch >= epoch or backup == start:
            continue
        try:
            if replayed(world, backup, epoch, rules) != content:
                return OLDER_DIFFERS
        except Stopped:
            opaque = {write for term in world.terms[:epoch] for write, after in term.queued if after is not None}
            if not opaque & set(content) - set(backup.content):
                return REFUSED_WRONGLY
        except Pruned:
            continue
    return None


def at_answer(world: World, epoch: int, write: int) -> str | None:
    """Name what acknowledging a write of `epoch` breaks now."""
    return NOWHERE if world.opened > epoch and write not in world.opened_with else None


def at_commit(world: World, backup: Place) -> str | None:
    """Name what a commit breaks."""
    newest = world.backups[-1].content
    return None if backup.content[: len(newest)] == newest else BACK


def at_following(world: World, content: Content) -> str | None:
    """Name what a follower breaks by showing `content`."""
    return None if _agree(content, world.opened_with) else SHOWN


def _followers(world: World) -> list[Place]:
    """Return what the followers show."""
    return [one.at for one in world.instances if one.mode == "follower" and one.at is not None]


def _agree(one: Content, other: Content) -> bool:
    """Say whether one of two histories goes on where the other ends."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
