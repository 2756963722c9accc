"""Every step that an instance, the store, the network or the clock can take in a given world.

Owns which steps there are. What an instance does as writer is in `writer`, as newcomer or standby in
`passive`.
"""

from collections.abc import Iterator

from tests.protocol.passive import leaving_steps, passive_steps
from tests.protocol.reply import received, reply_lost
from tests.protocol.rules import TIMEOUT, Bounds, Rules
from tests.protocol.search import CLOCK, Step
from tests.protocol.state import (
    FIRST_HEAD,
    FIRST_WRITER,
    GONE,
    STANDBY,
    UNBORN,
    Call,
    Head,
    Instance,
    Move,
    World,
    Write,
)
from tests.protocol.store import broken_by_answer, change
from tests.protocol.writer import writer_steps


def first_world(bounds: Bounds) -> World:
    """Return a world with a writer at work, and the others not yet started."""
    others = (STANDBY,) * bounds.standbys + (UNBORN,) * (bounds.instances - 1 - bounds.standbys)
    return World(FIRST_HEAD, (FIRST_WRITER, *others), (), 0, 0, bounds.lost_replies, bounds.crashes, bounds.ends)


def steps(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Every step possible now."""
    newcomer_due = True
    for who, one in enumerate(world.instances):
        if one.mode == "unborn":
            if newcomer_due:  # newcomers are alike: only the first of them starts
                newcomer_due = False
                yield Step(who, "starts", put(world, who, one._replace(mode="passive", wants="start")))
            continue
        if one.mode == "gone":
            continue
        yield from _own_steps(world, who, one, rules, bounds)
    for stray in world.strays:
        author, kind, new = stray
        rest = tuple([other for other in world.strays if other is not stray])
        after, fault = change(world._replace(strays=rest), author, kind, new, rules)
        yield Step(author, f"{kind} takes effect late", after, fault, unlucky=True)
    after = _tick(world, rules)
    if after != world:
        yield Step(CLOCK, "tick", after)


def put(world: World, who: int, one: Instance) -> World:
    """Replace one instance."""
    instances = world.instances
    return world._replace(instances=(*instances[:who], one, *instances[who + 1 :]))


def _own_steps(world: World, who: int, one: Instance, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield what one instance can do, and what can happen to it."""
    if one.call is not None:
        yield Step(who, f"hears of its {one.call.kind}", put(world, who, received(who, one, one.call, rules)))
        if world.losses and not one.call.kind.endswith("look"):
            unheard = put(world._replace(losses=world.losses - 1), who, reply_lost(who, one, one.call, rules))
            yield Step(who, f"never hears of its {one.call.kind}", unheard, unlucky=True)
    if world.crashes:
        yield Step(who, "crashes", put(world._replace(crashes=world.crashes - 1), who, GONE), unlucky=True)
    if one.write is not None:
        yield from _write_steps(world, who, one, rules)
    if one.mode == "passive":
        if world.ends and not one.leaving:
            ending = put(world._replace(ends=world.ends - 1), who, one._replace(leaving=True))
            yield Step(who, "is told to end", ending, unlucky=True)
        go = leaving_steps(world, who, one, rules) if one.leaving else None
        moves = go or passive_steps(world, who, one, rules, bounds)
    else:
        moves = writer_steps(world, who, one, rules)
        if one.mode == "writer":
            yield from _asked_of_writer(world, who, one, rules, bounds)
    for move in moves:
        if move.new is None:
            yield Step(who, move.what, put(world, who, move.then))
        else:
            yield from _swaps(world, who, move, move.new, rules)


def _swaps(world: World, who: int, move: Move, new: Head, rules: Rules) -> Iterator[Step[World]]:
    """Yield what becomes of a swap: it succeeds, or it is on its way while its sender gives up or dies."""
    one, kind = move.then, move.kind
    after, fault = change(world, who, kind, new, rules)
    answer = Call(kind, new, current=True, age=0)
    yield Step(who, f"sends {kind}, which succeeds", put(after, who, one._replace(call=answer, current=False)), fault)
    strays = (*world.strays, (who, kind, new))
    if world.losses:
        late = world._replace(losses=world.losses - 1, strays=strays)
        yield Step(
            who,
            f"sends {kind}, hears nothing",
            put(late, who, reply_lost(who, one, answer, rules)),
            unlucky=True,
        )
    if world.crashes:
        late = world._replace(crashes=world.crashes - 1, strays=strays)
        yield Step(who, f"sends {kind}, crashes", put(late, who, GONE), unlucky=True)


def _asked_of_writer(world: World, who: int, one: Instance, rules: Rules, bounds: Bounds) -> Iterator[Step[World]]:
    """Yield what a writer is asked for: to end, or to take a write."""
    if world.ends:
        ending = one._replace(mode="closing", leaving=True, capture=None)
        yield Step(who, "is told to end", put(world._replace(ends=world.ends - 1), who, ending), unlucky=True)
    fresh = one.fresh <= rules.fresh_ticks or not rules.look_before_engine
    if one.write is None and world.begun < bounds.writes and fresh:
        write = Write(world.begun, applied=False, epoch=one.epoch)
        after = put(world._replace(begun=world.begun + 1), who, one._replace(write=write))
        yield Step(who, "takes a write", after)


def _write_steps(world: World, who: int, one: Instance, rules: Rules) -> Iterator[Step[World]]:
    """Yield how a client's write goes on."""
    write = one.write
    assert write is not None
    if not write.applied:
        after = one._replace(engine=one.engine | 1 << write.number, write=write._replace(applied=True))
        yield Step(who, "engine applies the write", put(world, who, after))
    else:
        fresh = one.mode != "passive" and one.fresh <= rules.fresh_ticks
        if (fresh or not rules.look_before_answer) and (write.epoch == one.epoch or not rules.same_term):
            done = put(world, who, one._replace(write=None))
            done = done._replace(answered=world.answered | 1 << write.number)
            yield Step(who, "acknowledges the write", done, broken_by_answer(world, who, write.number))
    yield Step(who, "refuses the write", put(world, who, one._replace(write=None)))


def _tick(world: World, rules: Rules) -> World:
    """Let one tick pass for every local clock."""
    return world._replace(instances=tuple([_older(one, rules) for one in world.instances]))


def _older(one: Instance, rules: Rules) -> Instance:
    """Return the instance a tick older; a writer that gave no sign of life in it is ill."""
    if one.mode in {"unborn", "gone"}:
        return one
    call = one.call
    if call is not None and call.age <= rules.fresh_ticks:
        call = call._replace(age=call.age + 1)
    silent = one.mode != "passive" and one.fresh > 0 and (rules.touch or one.mode == "writer")
    return one._replace(
        seen=min(one.seen + 1, TIMEOUT),
        fresh=min(one.fresh + 1, rules.fresh_ticks + 1),
        call=call,
        ill=one.ill or silent,
    )


def likeness(world: World) -> int:
    """Hash what counts of a world: not that a write was answered which HEAD holds, nor what nobody will ask for."""
    instances = world.instances if world.strays else tuple([_what_counts(one) for one in world.instances])
    return hash(world._replace(instances=instances, answered=world.answered & ~world.head.saved))


def _what_counts(one: Instance) -> Instance:
    """Return an instance without two ages, as nothing it sent is on its way alone.

    A writer's `seen` begins anew when its term ends; the answers to these two calls are no evidence, however old.
    """
    if one.seen and one.mode in {"writer", "closing"}:
        one = one._replace(seen=0)
    if one.call is not None and one.call.age and one.call.kind in {"request", "last commit"}:
        one = one._replace(call=one.call._replace(age=0))
    return one


def lives(world: World, who: int) -> bool:
    """Say whether an instance is there, and not on its way out."""
    one = world.instances[who]
    return one.mode not in {"unborn", "gone"} and not one.leaving


def serves(world: World, who: int, bounds: Bounds) -> bool:
    """Say whether `who` is the writer, or waits for a claim beyond the bound."""
    head, one = world.head, world.instances[who]
    if head.epoch >= bounds.epochs and (head.holder != who or head.clean):
        return True  # the next claim lies beyond the bound
    return one.mode == "writer" and (head.holder, head.epoch) == (who, one.epoch) and not head.clean
