"""The order in the journal is the order in the engine."""

import random

from hypothesis import given
from hypothesis import strategies as st

from runtime.journal.order import Sequence


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 8))
def test_whatever_overlaps_is_queued_in_the_engines_order(seed: int, writes: int, at_once: int) -> None:
    """Writes are sent, applied and answered in any order that concurrency allows; the queue has them as applied.

    Some are refused after they used a number, some never got one.
    """
    chance = random.Random(seed)
    sequence = Sequence()
    queued: list[int] = []
    applied: list[int] = []
    sent: dict[int, int] = {}
    done: dict[int, int | None] = {}
    begun, number = 0, 0
    while begun < writes or sent or done:
        choices = ["send"] * (begun < writes and len(sent) + len(done) < at_once) + ["apply"] * bool(sent)
        step = chance.choice(choices + ["answer"] * bool(done))
        if step == "send":
            sent[begun] = sequence.sent()
            begun += 1
        elif step == "apply":
            write = chance.choice(list(sent))
            fate = chance.random()
            done[sent.pop(write)] = None if fate < 0.2 else number
            if fate >= 0.2:
                applied.append(number)
            number += fate >= 0.1
        else:
            ticket = chance.choice(list(done))
            operation = done.pop(ticket)
            if operation is None:
                sequence.answered(ticket)
            else:
                sequence.answered(ticket, operation, lambda operation=operation: queued.append(operation))  # type: ignore[misc]
        assert queued == applied[: len(queued)]
    assert queued == applied
    assert sequence.is_idle


def test_a_write_that_follows_the_last_one_does_not_wait() -> None:
    """While a slow write is under way, those whose numbers leave no room for it are queued at once."""
    sequence = Sequence()
    queued: list[int] = []
    first = sequence.sent()
    sequence.answered(first, 0, lambda: queued.append(0))
    slow = sequence.sent()
    for number in (1, 2):
        sequence.answered(sequence.sent(), number, lambda number=number: queued.append(number))  # type: ignore[misc]
    sequence.answered(sequence.sent(), 4, lambda: queued.append(4))

    assert queued == [0, 1, 2]
    sequence.answered(slow, 3, lambda: queued.append(3))
    assert queued == [0, 1, 2, 3, 4]


def test_a_refused_write_has_no_number_that_the_next_could_follow() -> None:
    """It waits for what was sent before its answer, and lets nothing go before what comes before that."""
    sequence = Sequence()
    queued: list[str] = []
    earlier, six, refused, seven = (sequence.sent() for _ in range(4))
    sequence.answered(earlier, 5, lambda: queued.append("5"))
    sequence.answered(refused, None, lambda: queued.append("refused"))
    sequence.answered(seven, 7, lambda: queued.append("7"))
    assert "7" not in queued
    sequence.answered(six, 6, lambda: queued.append("6"))
    assert [each for each in queued if each != "refused"] == ["5", "6", "7"]
    assert sequence.is_idle
    sequence.answered(sequence.sent(), None, lambda: queued.append("refused"))
    eight, nine = sequence.sent(), sequence.sent()
    sequence.answered(nine, 9, lambda: queued.append("9"))
    assert "9" not in queued
    sequence.answered(eight, 8, lambda: queued.append("8"))
    assert queued[-2:] == ["8", "9"]


def test_many_refused_writes_at_one_moment_are_all_queued() -> None:
    """Answers that share a place in the order are told apart."""
    sequence = Sequence()
    queued: list[int] = []
    slow, *others = (sequence.sent() for _ in range(5))
    for number, other in enumerate(others):
        sequence.answered(other, None, lambda number=number: queued.append(number))  # type: ignore[misc]
    sequence.answered(slow, 0, lambda: queued.append(4))
    assert sorted(queued) == [0, 1, 2, 3, 4]
