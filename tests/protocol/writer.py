"""What a writer can begin: look, commit, decline, close its gate, touch, commit for the last time.

Owns the writer's own steps. Writes of clients and the end of an operation are elsewhere.
"""

from collections.abc import Iterator

from tests.protocol.reply import received
from tests.protocol.rules import Rules
from tests.protocol.state import NOBODY, Call, Head, Instance, Move, World


def writer_steps(world: World, who: int, one: Instance, rules: Rules) -> Iterator[Move]:
    """Yield what the writer `who` may do next and what it is then."""
    view = one.view
    assert view is not None
    asked = view.asker not in {NOBODY, who}
    if one.call is None:
        useful = one.fresh > 0 and (not asked or rules.request_in_look == "is ignored")
        if one.unsure or not one.current or useful:
            yield Move("looks at HEAD", look(world, who, one, rules))
    if one.unsure:
        return
    if one.mode == "writer":
        yield from _serving(one, view, asked=asked, rules=rules)
    else:
        yield from _closing(one, view, rules)


def look(world: World, who: int, one: Instance, rules: Rules) -> Instance:
    """Return the instance with HEAD read.

    Reading and hearing are one step: while it waits it can do nothing that it could not do before or after.
    Only an age counted from the answer makes a difference.
    """
    call = Call("relook" if one.current else "look", world.head, current=True, age=0)
    if rules.fresh_since == "received" and one.mode != "passive":
        return one._replace(call=call)
    return received(who, one, call, rules)


def _serving(one: Instance, view: Head, *, asked: bool, rules: Rules) -> Iterator[Move]:
    """Yield the steps of a writer with its gate open."""
    can_swap = one.call is None and (one.current or not rules.compare_and_swap)
    if one.capture is None and one.engine != one.placed_saved:
        yield Move("uploads a manifest", one._replace(capture=(view.seq + 1, one.engine)))
    if one.capture is not None and can_swap:
        seq, saved = one.capture
        if not rules.epoch_check:
            seq = max(seq, view.seq + 1)
        new = view._replace(seq=seq, saved=saved)
        if not rules.keep_request:
            new = new._replace(asker=NOBODY, start=False)
        yield Move("commits", one, "commit", new)
    if asked and one.call is None:
        yield Move("closes its gate", one._replace(mode="closing", capture=None))
        if not view.start and can_swap:
            yield Move("declines", one, "decline", view._replace(asker=NOBODY, start=False))


def _closing(one: Instance, view: Head, rules: Rules) -> Iterator[Move]:
    """Yield the steps of a writer on its way to its last commit."""
    if view.asker == NOBODY and not one.leaving and not rules.end_what_was_begun:
        return
    can_swap = one.call is None and (one.current or not rules.compare_and_swap)
    if one.capture is None and (one.write is None or rules.drain != "wait"):
        late = one.write
        if late is not None and rules.drain == "refuse late ones":
            late = late._replace(epoch=0)
        capture = (view.seq + 1, one.engine)
        yield Move("uploads its last manifest", one._replace(capture=capture, write=late))
    if one.capture is not None and can_swap:
        seq, saved = one.capture
        new = view._replace(seq=seq, saved=saved, clean=True)
        yield Move("commits for the last time", one, "last commit", new)
        if not rules.stay_closed:
            yield Move("opens its gate again", one._replace(mode="writer", capture=None))
    if rules.touch and one.fresh > 0 and can_swap:
        yield Move("touches HEAD", one, "touch", view)
