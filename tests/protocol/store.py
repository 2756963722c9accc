"""What happens to the world when HEAD changes, and what must never happen then.

Owns the store's side (who notices, which swaps become void) and the invariants of each change.
"""

from tests.protocol.rules import TIMEOUT, Rules
from tests.protocol.state import NOBODY, Head, Instance, World


def change(world: World, author: int, kind: str, new: Head, rules: Rules) -> tuple[World, str | None]:
    """Put `new` into the store; everybody else's copy is no longer the current one."""
    fault = broken_by(world, author, kind, new)
    answered = world.answered
    if kind == "claim":
        answered &= new.saved  # what a dead or frozen writer had not committed: the stated bound
    instances = tuple([_outdated(one) for one in world.instances])
    strays = () if rules.compare_and_swap else world.strays
    return world._replace(head=new, instances=instances, strays=strays, answered=answered), fault


def _outdated(one: Instance) -> Instance:
    """Return the instance with its copy of HEAD no longer the current one."""
    call = one.call
    if call is not None and call.current:
        return one._replace(current=False, call=call._replace(current=False))
    return one._replace(current=False) if one.current else one


def broken_by(world: World, author: int, kind: str, new: Head) -> str | None:
    """Name the invariant that this change of HEAD breaks."""
    old = world.head
    if (new.epoch, new.seq) < (old.epoch, old.seq):
        return "the history goes back"
    if new.saved & old.saved != old.saved:
        return "a committed write is no longer in the newest manifest"
    match kind:
        case "commit" | "last commit":
            return _broken_by_commit(world, author, new)
        case "claim":
            return _broken_by_claim(world, author, new)
        case "request" if _reserved(world, author):
            return "a hand-over is taken from the one that asked"
        case _:
            return None


def _broken_by_commit(world: World, author: int, new: Head) -> str | None:
    """Name what a commit breaks: only the writer commits, and its last commit leaves nothing behind."""
    old = world.head
    if (old.holder, old.epoch) != (author, new.epoch) or old.clean:
        return "one that is not the writer commits"
    if new.seq <= old.seq:
        return "two commits share a number"
    if new.clean and world.answered & ~new.saved:
        return "a graceful hand-over leaves an acknowledged write behind"
    return None


def _broken_by_claim(world: World, author: int, new: Head) -> str | None:
    """Name what a claim breaks: it loses nothing of a healthy writer and serves the newest state."""
    old, one = world.head, world.instances[author]
    if new.epoch != old.epoch + 1:
        return "two claims share an epoch"
    if one.mode != "gone" and one.engine != old.saved:
        return "the claimer does not serve the newest committed state"
    before = world.instances[old.holder]
    if world.answered & ~old.saved and before.mode != "gone" and not before.ill:
        return "a healthy writer loses acknowledged writes"
    if _reserved(world, author):
        return "a hand-over is taken from the one that asked"
    return None


def _reserved(world: World, author: int) -> bool:
    """Say whether HEAD is kept for another that waits for it, and its time is not over."""
    old, one = world.head, world.instances[author]
    if not old.clean or old.asker in {NOBODY, author}:
        return False
    return world.instances[old.asker].asked and one.mode != "gone" and one.seen < TIMEOUT


def broken_by_answer(world: World, who: int, number: int) -> str | None:
    """Name the invariant that acknowledging a write breaks now."""
    head = world.head
    if not world.instances[who].engine >> number & 1:
        return "a write is acknowledged that its engine no longer holds"
    if (head.epoch, head.holder) != (world.instances[who].epoch, who) or head.clean:
        return "a write is acknowledged into nowhere"
    return None
