"""The gate's core: places, holds, refusals and counts, apart from any transport."""

import asyncio

import pytest

from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate, Refused
from runtime.edge.passage import passage, takes_place
from runtime.edge.recording import Sent
from tests.edge.stage import in_loop, until

POINTS = Write(Effect.POINTS, "c")
SENT = Sent("rest", "PUT", "/collections/c/points", b"{}")


async def always() -> int:
    """Acknowledge everything, in one epoch."""
    return 1


def open_gate(*, hold_limit_seconds: float = 10.0) -> Gate:
    """Return a gate that admits writes."""
    gate = Gate(always, hold_limit_seconds=hold_limit_seconds)
    gate.admit()
    return gate


@in_loop
async def test_a_new_gate_refuses_until_it_is_told_to_admit() -> None:
    """Nothing is written before the instance has said that it may be."""
    gate = Gate(always)
    with pytest.raises(Refused, match="starting"):
        await gate.enter()
    assert (gate.refused_count, gate.in_flight) == (1, 0)


@in_loop
async def test_a_hold_waits_for_writes_in_flight_and_keeps_new_ones_out() -> None:
    """Inside the block no write is in flight; those that came meanwhile go on afterwards."""
    gate = open_gate()
    await gate.enter()
    asyncio.get_running_loop().call_later(0.05, gate.leave, POINTS, Outcome.APPLIED)
    async with gate.held(drain_seconds=5) as drained:
        assert drained
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        assert gate.in_flight == 0
        assert gate.written().points == {"c": 1}
    await waiting
    assert (gate.in_flight, gate.held_count) == (1, 1)


@in_loop
async def test_a_hold_says_when_a_write_would_not_end() -> None:
    """The wait for writes in flight is bounded, and its failure is told."""
    gate = open_gate()
    await gate.enter()
    async with gate.held(drain_seconds=0.01) as drained:
        assert not drained
    assert not await gate.drained(seconds=0.01)


@in_loop
async def test_a_write_that_is_held_too_long_is_refused() -> None:
    """A client never waits without end for a backup."""
    gate = open_gate(hold_limit_seconds=0.01)
    async with gate.held(drain_seconds=1):
        with pytest.raises(Refused, match="backup"):
            await gate.enter()


@in_loop
async def test_a_refusal_reaches_writes_that_wait() -> None:
    """Closing the gate during a hold turns the waiting ones away with the new reason."""
    gate = open_gate()
    async with gate.held(drain_seconds=1):
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.refuse("draining", retry_after=3)
        with pytest.raises(Refused, match="draining"):
            await waiting
    assert gate.refusal == "draining"


@pytest.mark.parametrize(
    ("write", "outcome", "counted"),
    [
        (POINTS, Outcome.APPLIED, ("points", "c")),
        (POINTS, Outcome.REFUSED, ("points", "c")),
        (POINTS, Outcome.UNANSWERED, ("points", "c")),
        (POINTS, Outcome.UNTOUCHED, None),
        (Write(Effect.REPLACE, "c"), Outcome.APPLIED, ("replaced", "c")),
        (Write(Effect.REPLACE, "c"), Outcome.UNANSWERED, ("replaced", "c")),
        (Write(Effect.REPLACE, "c"), Outcome.REFUSED, ("points", "c")),
        (Write(Effect.RECOVER, "c"), Outcome.REFUSED, ("replaced", "c")),
        (Write(Effect.CATALOG), Outcome.APPLIED, ("catalog", None)),
        (Write(Effect.POINTS), Outcome.APPLIED, ("everything", None)),
        (Write(Effect.REPLACE), Outcome.APPLIED, ("everything", None)),
        (Write(Effect.UNKNOWN), Outcome.UNANSWERED, ("everything", None)),
        (Write(Effect.UNKNOWN), Outcome.REFUSED, None),
        (Write(Effect.NOTHING), Outcome.APPLIED, None),
    ],
)
@in_loop
async def test_what_a_write_may_have_changed_is_counted(
    write: Write, outcome: Outcome, counted: tuple[str, str | None] | None
) -> None:
    """Each effect and outcome moves the count that the next backup looks at, and no other."""
    gate = open_gate()
    told: list[int] = []
    gate.on_write = lambda: told.append(1)
    await gate.enter()
    gate.leave(write, outcome)
    written = gate.written()
    moved = {
        "points": written.points,
        "replaced": written.replaced,
        "catalog": written.catalog,
        "everything": written.everything,
    }
    expected: dict[str, object] = {"points": {}, "replaced": {}, "catalog": 0, "everything": 0}
    if counted is not None:
        kind, name = counted
        expected[kind] = 1 if name is None else {name: 1}
    assert moved == expected
    assert written.total == len(told) == (0 if counted is None else 1)


@in_loop
async def test_a_write_that_may_not_begin_leaves_no_mark() -> None:
    """Refused before the engine saw it: the place is given back and nothing is counted."""

    async def never() -> int:
        """Refuse."""
        raise Refused("not the writer", retry_after=2)

    gate = Gate(never)
    gate.admit()
    with pytest.raises(Refused, match="not the writer"):
        async with passage(gate, POINTS, str, SENT):
            raise AssertionError("the block must not run")
    assert (gate.in_flight, gate.written().total, gate.refused_count) == (0, 0, 1)


@in_loop
async def test_a_write_that_was_applied_but_may_not_be_told_is_counted() -> None:
    """Leadership lost meanwhile: the client hears a refusal, the backup still looks."""
    answers = iter([True, False])

    async def once() -> int:
        """Acknowledge the first time only."""
        if not next(answers):
            raise Refused("superseded", retry_after=1)
        return 1

    gate = Gate(once)
    gate.admit()
    with pytest.raises(Refused, match="superseded"):
        async with passage(gate, POINTS, str, SENT) as place:
            place.outcome = Outcome.APPLIED
    assert (gate.in_flight, gate.written().points) == (0, {"c": 1})


@in_loop
async def test_a_cancelled_write_gives_its_place_back_and_counts() -> None:
    """A cut in the middle is a write that may have been applied."""
    gate = open_gate()

    async def stuck() -> None:
        """Write without end."""
        async with passage(gate, POINTS, str, SENT):
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await until(lambda: gate.in_flight == 1)
    task.cancel()
    await asyncio.wait([task])
    assert (gate.in_flight, gate.written().points) == (0, {"c": 1})


@in_loop
async def test_a_write_through_an_alias_marks_its_collection() -> None:
    """The name is resolved; when the alias moved while the write ran, every collection is marked."""
    gate = open_gate()
    aliases = {"c": "first"}
    async with passage(gate, POINTS, lambda name: aliases.get(name, name), SENT) as place:
        place.outcome = Outcome.APPLIED
    assert gate.written().points == {"first": 1}
    async with passage(gate, POINTS, lambda name: aliases.get(name, name), SENT) as place:
        aliases["c"] = "second"
        place.outcome = Outcome.APPLIED
    assert gate.written().everything == 1


def test_only_what_changes_data_takes_a_place() -> None:
    """Reads and stock snapshots do not keep a backup's barrier waiting."""
    assert takes_place(POINTS)
    assert takes_place(Write(Effect.UNKNOWN))
    assert not takes_place(None)
    assert not takes_place(Write(Effect.NOTHING))


def test_a_write_is_not_acknowledged_in_another_epoch_than_it_entered_in() -> None:
    """An instance that lost the lineage and won it back has placed its engine afresh: the write is not in it."""

    async def story() -> None:
        """Lose the lineage and win it back while a write is under way."""
        epochs = iter((3, 5))

        async def regained() -> int:
            """Write in epoch 3, then in epoch 5."""
            return next(epochs)

        gate = Gate(regained)
        gate.admit()
        with pytest.raises(Refused, match="changed hands"):
            async with passage(gate, POINTS, str, SENT) as place:
                place.outcome = Outcome.APPLIED
        assert gate.in_flight == 0
        assert gate.refused_count == 1

    asyncio.run(story())


def test_a_collection_whose_name_is_too_long_to_be_streamed_is_not_made() -> None:
    """200 bytes pass, 201 do not: such a collection would make every backup fail."""

    async def story() -> None:
        """Make one of each length."""
        gate = Gate(always)
        gate.admit()
        async with passage(gate, Write(Effect.REPLACE, "é" * 100), str, SENT) as place:
            place.outcome = Outcome.APPLIED
        with pytest.raises(Refused, match="at most 200 bytes"):
            async with passage(gate, Write(Effect.REPLACE, "é" * 100 + "x"), str, SENT):
                raise AssertionError("the block must not run")
        assert gate.in_flight == 0

    asyncio.run(story())
