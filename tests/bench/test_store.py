"""The store that is measured through is a bucket behind a link, and slow exactly as it is told to be."""

import asyncio
import io
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.store import BUCKET, Direction, Link, Traffic, running_store
from runtime.errors import AlreadyExists
from runtime.repository.open import open_store
from tests.support.sources import Collected

SIZES = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=10)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@given(sizes=SIZES)
def test_everything_at_once_takes_as_long_as_its_sum(sizes: list[int]) -> None:
    """Connections share the bandwidth: the last byte of them all is through when their sum is."""
    traffic = Traffic(Link(mb_per_second=10), Clock())
    waits = [traffic.wait(Direction.UP, size) for size in sizes]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(sum(sizes) / 10e6)


@given(sizes=SIZES, pauses=st.lists(st.floats(0, 5), min_size=10, max_size=10))
def test_no_span_of_time_carries_more_than_its_bandwidth(sizes: list[int], pauses: list[float]) -> None:
    """However requests come, a link that was idle has saved nothing up."""
    clock = Clock()
    traffic = Traffic(Link(mb_per_second=1), clock)
    ends = []
    for size, pause in zip(sizes, pauses, strict=False):
        clock.now += pause
        ends.append((clock.now + traffic.wait(Direction.DOWN, size), size))
    for (before, _), (after, size) in itertools.pairwise(ends):
        assert after - before >= size / 1e6 - 1e-6


def test_the_two_directions_do_not_wait_for_each_other() -> None:
    """A download is not slowed by an upload."""
    traffic = Traffic(Link(mb_per_second=1), Clock())
    traffic.wait(Direction.UP, 5_000_000)
    assert traffic.wait(Direction.DOWN, 1_000_000) == pytest.approx(1.0)


def test_without_a_bandwidth_nothing_waits() -> None:
    """The fast store adds no delay of its own."""
    assert Traffic(Link(), Clock()).wait(Direction.UP, 10**12) == 0


def test_it_answers_as_the_repository_asks() -> None:
    """An upload of several chunks, a range, a taken name and a small object, through the real client."""
    with running_store() as address:
        asyncio.run(_used(address))


def test_a_round_trip_is_waited_for_once_by_each_request() -> None:
    """Requests one after the other take a round trip each; side by side they take one together."""
    with running_store(Link(round_trip_ms=100)) as address:
        one_by_one, at_once = asyncio.run(_timed(address))
    assert one_by_one >= 4 * 0.1
    assert at_once < one_by_one


async def _used(address: str) -> None:
    """Use it as the repository does."""
    store = open_store(f"gs://{BUCKET}/prefix", emulator_host=address, project=None)
    body = bytes(range(256)) * 40_000  # more than two chunks of an upload
    assert (await store.upload("packs/a.tar", io.BytesIO(body))).size == len(body)
    with pytest.raises(AlreadyExists):
        await store.write_new("packs/a.tar", b"other bytes")
    part = Collected()
    await store.download("packs/a.tar", 100, 5_000_000, part)
    assert part.data == body[100:5_000_100]
    await store.write_new("HEAD", b"small")
    assert (await store.read("HEAD"))[0] == b"small"
    await store.close()


async def _timed(address: str) -> tuple[float, float]:
    """Return the seconds of four small reads, one after the other and side by side."""
    store = open_store(f"gs://{BUCKET}/prefix", emulator_host=address, project=None)
    await store.write_new("HEAD", b"small")
    started = time.monotonic()
    for _ in range(4):
        await store.read("HEAD")
    middle = time.monotonic()
    await asyncio.gather(*(store.read("HEAD") for _ in range(4)))
    ended = time.monotonic()
    await store.close()
    return middle - started, ended - middle
