import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from runtime.errors import IntegrityError, RuntimeFailure
from runtime.pipe import Pipe
from tests.support.engines import wait_until

MIB = 1 << 20


def in_thread(work: Callable[[], object]) -> "Future[object]":
    """Run something beside the test."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def test_bytes_come_out_as_they_went_in() -> None:
    """In order, in pieces of at most the size asked for, and then the end."""
    pipe = Pipe()
    pipe.write(b"abc")
    pipe.write(memoryview(b"defg"))
    pipe.end()

    assert [pipe.read(2), pipe.read(9), pipe.read(9), pipe.read(9), pipe.read(9)] == [b"ab", b"c", b"defg", b"", b""]


def test_a_writer_waits_for_a_reader_that_is_behind() -> None:
    """So that what waits in between does not grow with the data."""
    pipe, pushed = Pipe(), [0]

    def push() -> None:
        """Push much."""
        for _ in range(64):
            pipe.write(b"x" * MIB)
            pushed[0] += 1
        pipe.end()

    done = in_thread(push)
    wait_until(lambda: pushed[0] >= 8, 10, "the pipe to be full")
    assert not threading.Event().wait(0.1)  # a moment in which a pipe without a bound would take the rest
    assert pushed[0] <= 9
    total = 0
    while data := pipe.read(3 * MIB):
        total += len(data)
    assert total == 64 * MIB
    done.result(10)


@pytest.mark.parametrize("side", ["writer", "reader"])
def test_neither_side_waits_for_one_that_failed(side: str) -> None:
    """It is told why: our own errors as they are, others as the other side's end."""
    pipe = Pipe()

    def wait() -> None:
        """Wait for the other side."""
        while side == "writer":
            pipe.write(b"x" * MIB)
        pipe.read(1)

    waiting = in_thread(wait)
    pipe.fail(IntegrityError("a hash is wrong"))
    with pytest.raises(IntegrityError, match="a hash is wrong"):
        waiting.result(10)


def test_a_stranger_error_is_told_as_the_other_sides_end() -> None:
    """What was pushed before it counts for nothing."""
    pipe = Pipe()
    pipe.write(b"half")
    pipe.fail(KeyError("x"))
    with pytest.raises(RuntimeFailure, match="other side"):
        pipe.read(1)
