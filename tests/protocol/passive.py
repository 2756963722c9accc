"""What a newcomer, a standby or a fenced instance can begin: look, place, request, claim, go away.

Owns the steps of those that are not the writer.
"""

from collections.abc import Iterator

from tests.protocol.reply import as_writer
from tests.protocol.rules import TIMEOUT, Bounds, Rules
from tests.protocol.state import GONE, NOBODY, Head, Instance, Move, World
from tests.protocol.writer import look


def passive_steps(world: World, who: int, one: Instance, rules: Rules, bounds: Bounds) -> Iterator[Move]:
    """Yield what an instance that is not the writer may do next and what it is then."""
    if not one.wants:
        yield Move("is sent a write", one._replace(wants="write"))
        return
    if one.call is not None:
        return
    if one.unsure or one.view is None or not one.current:
        yield Move("looks at HEAD", look(world, who, one, rules))
    view = one.view
    if one.unsure or view is None:
        return
    dirty = one.engine != one.placed_saved and rules.replace_dirty
    quiet = one.write is None or one.write.applied
    if quiet and (one.placed != view.seq or dirty):
        then = one._replace(placed=view.seq, placed_saved=view.saved, engine=view.saved)
        yield Move("places the manifest", then)
    placed = one.placed == view.seq or (one.placed >= 0 and not rules.claim_what_is_placed)
    ready = quiet and placed and not dirty
    if not one.current and rules.compare_and_swap:
        return
    if rules.own_claim_found and ready and view.holder == who and not view.clean and view.epoch > one.epoch:
        yield Move("finds its claim won", as_writer(one, view))
    if ready and view.epoch < bounds.epochs and may_claim(who, one, view, rules):
        new = view._replace(epoch=view.epoch + 1, holder=who, clean=False, asker=NOBODY, start=False)
        yield Move("claims", one, "claim", new)
    if may_ask(who, one, view, rules):
        yield Move("requests", one, "request", view._replace(asker=who, start=one.wants == "start"))


def leaving_steps(world: World, who: int, one: Instance, rules: Rules) -> Iterator[Move]:
    """Yield how an instance goes that was told to end: it takes back its own request, and nothing else."""
    view = one.view
    if one.call is not None:
        return
    if view is None or view.asker != who or one.unsure:
        yield Move("goes", GONE)
    elif one.current or not rules.compare_and_swap:
        yield Move("withdraws", GONE, "withdraw", view._replace(asker=NOBODY, start=False))
    else:
        yield Move("looks at HEAD", look(world, who, one, rules))


def may_claim(who: int, one: Instance, view: Head, rules: Rules) -> bool:
    """Say whether HEAD as seen lets this instance claim."""
    silent = one.seen >= TIMEOUT
    if view.clean:
        return (
            (silent and rules.reservation != "for ever")
            or view.asker in {NOBODY, who}
            or rules.reservation == "ignored"
        )
    silent = silent and rules.forced_claim
    if rules.forced_claim_needs_request:
        return silent and view.asker not in {NOBODY, view.holder}
    return silent and one.asked


def may_ask(who: int, one: Instance, view: Head, rules: Rules) -> bool:
    """Say whether this instance sets its request now."""
    if who in {view.holder, view.asker}:
        return False
    if view.clean:
        return view.asker != NOBODY and rules.reservation == "overwritten"
    outranks = one.wants == "start" and not view.start
    return view.asker == NOBODY or outranks or not rules.polite
