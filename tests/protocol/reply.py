"""What an instance makes of what the store answered, or did not answer.

Owns the change of an instance by one finished operation on HEAD. Starts no operation.
"""

from tests.protocol.rules import Rules
from tests.protocol.state import GONE, NOBODY, Call, Head, Instance


def received(who: int, one: Instance, call: Call, rules: Rules) -> Instance:
    """Return the instance after it heard how its operation went."""
    one = one._replace(call=None)
    if call.kind.endswith("look"):
        return _looked(who, one, call, rules)
    fresh = min(one.fresh, _age(call, rules))
    restarts = call.kind != "request" or rules.own_request_restarts_timer
    one = one._replace(view=call.head, current=call.current, seen=0 if restarts else one.seen)
    match call.kind:
        case "commit":
            return committed(one, call.head, rules)._replace(fresh=fresh)
        case "last commit":
            return committed(one, call.head, rules)
        case "claim":
            return as_writer(one, call.head)._replace(fresh=_age(call, rules))
        case "request":
            return one._replace(asked=True)
        case _:
            return one._replace(fresh=fresh)


def reply_lost(who: int, one: Instance, call: Call, rules: Rules) -> Instance:
    """Return the instance after it stopped waiting for the answer to a swap."""
    if rules.lost_reply == "assume won":
        return received(who, one, call._replace(current=False), rules)
    one = one._replace(call=None)
    if rules.lost_reply == "look":
        return one._replace(unsure=True)
    if call.kind == "last commit" and not one.leaving:
        return one._replace(mode="writer", capture=None)
    return one._replace(capture=None)


def committed(one: Instance, head: Head, rules: Rules) -> Instance:
    """Return the writer after its manifest became HEAD's: the last commit ends its term."""
    one = one._replace(placed=head.seq, placed_saved=head.saved, capture=None)
    if not head.clean:
        return one
    return GONE if one.leaving else as_standby(one, rules)


def as_writer(one: Instance, head: Head) -> Instance:
    """Return the instance as writer of the epoch that HEAD gives it."""
    return one._replace(mode="writer", epoch=head.epoch, capture=None, wants="", asked=False, ill=False, unsure=False)


def as_standby(one: Instance, rules: Rules) -> Instance:
    """Return the instance with its term over; what it saw of HEAD counts no more."""
    return one._replace(
        mode="passive",
        view=None,
        current=False,
        seen=0,
        unsure=False,
        capture=None,
        wants="",
        asked=False,
        ill=False,
        fresh=rules.fresh_ticks + 1,
    )


def _age(call: Call, rules: Rules) -> int:
    """Return the age that an answer's evidence has."""
    return call.age if rules.fresh_since == "sent" else 0


def _looked(who: int, one: Instance, call: Call, rules: Rules) -> Instance:
    """Return the instance after a look at HEAD."""
    before, head = one.view, call.head
    one = one._replace(view=head, current=call.current, unsure=False)
    if call.kind == "look":
        one = one._replace(seen=0)
    if one.mode == "passive":
        return _looked_from_outside(who, one, before, rules)
    if (head.epoch, head.holder) != (one.epoch, who):
        if one.capture is not None and not rules.epoch_check:
            return one
        return GONE if one.leaving else as_standby(one, rules)
    if one.capture == (head.seq, head.saved) and one.placed != head.seq:
        one = committed(one, head, rules)
        if head.clean:
            return one
    if head.asker == NOBODY or rules.request_in_look == "is ignored":
        return one._replace(fresh=min(one.fresh, _age(call, rules)))
    return one._replace(fresh=rules.fresh_ticks + 1) if rules.request_in_look == "revokes" else one


def _looked_from_outside(who: int, one: Instance, before: Head | None, rules: Rules) -> Instance:
    """Return an instance that is not the writer after a look at HEAD."""
    head = one.view
    assert head is not None
    if before is not None and head.epoch != before.epoch:
        one = one._replace(asked=False)
    if head.asker == who:
        return one._replace(asked=True)
    if one.asked and not head.clean:
        if one.wants == "write":  # declined: the client is told to come again
            return as_standby(one, rules)
        return one._replace(asked=not rules.forced_claim_needs_request)
    return one
