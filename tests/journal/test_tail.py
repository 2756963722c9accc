"""Sealing: every reader agrees where an epoch ends, and a hole is told from an end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.journal.tail import Tail
from runtime.journal.writer import MOST_UNDER_WAY
from runtime.repository.journal_object import JournalPosition
from tests.journal.stage import LINEAGE, Stage, in_virtual_time, seal, written


async def sealed(stage: Stage, after: int = -1, reader: str = "reader") -> list[int]:
    """Seal epoch 1 beyond a position; return the numbers that count."""
    tail = Tail(stage.repository, LINEAGE, reader)
    return [found.position.n async for found in tail.sealed(JournalPosition(1, after))]


@given(st.integers(0, 20), st.integers(-1, 20), st.sets(st.integers(1, MOST_UNDER_WAY - 1)))
def test_an_epoch_ends_where_the_first_object_is_missing(there: int, after: int, strays: set[int]) -> None:
    """Whatever is behind it was never acknowledged; whoever seals later finds the same end."""
    after = min(after, there - 1)

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        for number in (*range(there), *(there + stray for stray in strays)):
            stage.put(written(1, number, b"{}"))
        assert await sealed(stage, after) == list(range(after + 1, there))
        assert stage.there()[there].kind == "seal"
        assert await sealed(stage, after, "another") == list(range(after + 1, there))

    in_virtual_time(story())


def test_a_zombies_objects_count_up_to_the_seal() -> None:
    """A writer that does not know yet that it was replaced races the seal; both agree who won each place."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        acknowledged: list[int] = []

        async def zombie() -> None:
            """Write until it is told that it is none."""
            number = 0
            while not stage.sealed.is_set():
                writes = [asyncio.create_task(stage.write(number + each)) for each in range(3)]
                done = await asyncio.gather(*writes, return_exceptions=True)
                acknowledged.extend(each for each in done if isinstance(each, int))
                number += 3
                await asyncio.sleep(0.001)

        writing = asyncio.create_task(zombie())
        await asyncio.sleep(0.05)
        counted = await sealed(stage)
        await writing
        numbers = {entry.records[0].at for entry in stage.there().values() if entry.position.n in counted}
        assert acknowledged
        assert numbers >= set(acknowledged)

    in_virtual_time(story())


@pytest.mark.parametrize("lost", [0, 1, 4])
def test_a_hole_before_a_seal_is_a_loss(lost: int) -> None:
    """What was before a seal was there once: without it the epoch is refused, at exactly that place."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        for number in range(5):
            stage.put(written(1, number, b"{}"))
        await sealed(stage)
        stage.remove(1, lost)
        with pytest.raises(IntegrityError, match=f"object 1/{lost} .* is missing"):
            await sealed(stage)

    in_virtual_time(story())


def test_a_hole_far_from_the_end_is_a_loss() -> None:
    """An object that far behind a hole was created only after the missing one was there."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        for number in (0, *range(2, 2 + MOST_UNDER_WAY)):
            stage.put(written(1, number, b"{}"))
        with pytest.raises(IntegrityError, match=r"object 1/1 .* is missing"):
            await sealed(stage)

    in_virtual_time(story())


@pytest.mark.parametrize("how", ["sealed", "read", "follow"])
def test_a_seal_in_the_middle_is_a_loss(how: str) -> None:
    """No writer gets that far beyond a seal: something else was in its place. A little beyond it proves nothing."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        for number in (0, *range(2, 1 + MOST_UNDER_WAY)):
            stage.put(written(1, number, b"{}"))
        stage.put(seal(1, 1))
        tail = Tail(stage.repository, LINEAGE, "reader")
        counted = [found.position.n async for found in getattr(tail, how)(JournalPosition(1, -1)) if found.records]
        assert counted[:1] == [0]
        stage.put(written(1, 1 + MOST_UNDER_WAY, b"{}"))
        with pytest.raises(IntegrityError, match=r"object 1/1 .* is a seal, 1/7 is there"):
            assert [found async for found in getattr(tail, how)(JournalPosition(1, -1))]

    in_virtual_time(story())


def test_following_seals_nothing() -> None:
    """A reader takes what is there without a gap, and leaves the epoch open."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        for number in (0, 1, 3):
            stage.put(written(1, number, b"{}"))
        tail = Tail(stage.repository, LINEAGE, "reader")
        assert [found.position.n async for found in tail.follow(JournalPosition(1, -1))] == [0, 1]
        stage.put(seal(1, 2))
        assert [found.kind async for found in tail.follow(JournalPosition(1, 1))] == ["seal", "records"]

    in_virtual_time(story())
