"""Group commit: what is acknowledged is in the bucket, with everything before it."""

import asyncio

import pytest

from runtime.edge.gate import Refused
from runtime.errors import NotTheWriter, StoreUnreachable
from runtime.journal.writer import MOST_UNDER_WAY
from runtime.repository.journal_object import JournalPosition, Opaque
from tests.journal.stage import LINEAGE, Stage, in_virtual_time, record, seal
from tests.support.model_store import FaultKind


def test_writes_that_come_together_go_together() -> None:
    """What is recorded within the linger shares an object, and all of it is acknowledged with it."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stored = [stage.journal.append(record(number)) for number in range(5)]
        for each in stored:
            await stage.journal.durable(each)
        assert [len(entry.records) for entry in stage.there().values()] == [5]

    in_virtual_time(story())


def test_nothing_is_acknowledged_over_a_hole() -> None:
    """Objects behind one that is slow are in the bucket long before it, and acknowledged after it, in order."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stage.slow(0, 5)
        order: list[int] = []

        async def one(number: int) -> None:
            """Write."""
            order.append(await stage.write(number))

        writes = [asyncio.create_task(one(number)) for number in range(4)]
        await asyncio.sleep(1)
        assert sorted(stage.there()) == [1, 2, 3]
        assert order == []
        await asyncio.gather(*writes)
        assert order == [0, 1, 2, 3]

    in_virtual_time(story())


def test_no_object_is_far_behind_a_hole() -> None:
    """However much is written, no object is created MOST_UNDER_WAY or more behind one that is not there yet."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stage.slow(2, 5)
        writes = [asyncio.create_task(stage.write(number)) for number in range(30)]
        await asyncio.sleep(1)
        assert sorted(stage.there()) == [0, 1, *range(3, 2 + MOST_UNDER_WAY)]
        await asyncio.gather(*writes)
        assert sorted(stage.there()) == list(range(30))

    in_virtual_time(story())


@pytest.mark.parametrize("kind", [FaultKind.FAIL_BEFORE, FaultKind.FAIL_AFTER, FaultKind.FAIL_LATE])
def test_a_failed_creation_is_tried_again_with_the_same_bytes(kind: FaultKind) -> None:
    """Whether it took effect, did not, or does later: the record is there once, and acknowledged."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stage.fail(0, kind, 0.05)
        await stage.write(7)
        assert [entry.records[0].at for entry in stage.there().values()] == [7]
        assert stage.journal.failure is None

    in_virtual_time(story())


def test_whoever_meets_a_seal_is_the_writer_no_longer() -> None:
    """Its place taken, a write is refused, and so is every one behind it, though its object got there."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        await stage.write(0)
        stage.put(seal(1, 1))
        writes = [asyncio.create_task(stage.write(number)) for number in (1, 2)]
        await asyncio.wait_for(stage.sealed.wait(), 5)
        for write in writes:
            with pytest.raises(Refused, match="changed hands"):
                await write
        with pytest.raises(Refused):
            stage.journal.append(record(3))
        with pytest.raises(NotTheWriter):
            stage.journal.position()

    in_virtual_time(story())


def test_a_bucket_that_does_not_answer_refuses_writes_before_the_engine_has_them() -> None:
    """A write waits its patience and is refused; from then on none is let in, until the bucket answers again."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stage.slow(0, 60)
        with pytest.raises(Refused, match="has not taken this write"):
            await stage.write(0)
        with pytest.raises(Refused, match="does not take the journal"):
            stage.journal.require_reachable()
        await asyncio.sleep(60)
        stage.journal.require_reachable()
        assert sorted(stage.there()) == [0]

    in_virtual_time(story())


def test_a_position_holds_what_was_recorded_by_then() -> None:
    """What is recorded after a position was taken goes into a later object; nothing recorded: none of the epoch."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 4, "writer")
        assert stage.journal.position() == JournalPosition(4, -1)
        first = stage.journal.append(record(0))
        assert stage.journal.position() == JournalPosition(4, 0)
        second = stage.journal.append(record(1))
        await stage.journal.durable(first)
        await stage.journal.durable(second)
        assert [entry.records[0].at for entry in stage.there(4).values()] == [0, 1]

    in_virtual_time(story())


def test_a_backup_waits_for_the_journal() -> None:
    """Up to a position everything must be durable; that it is not in time is a failure, a seal is the end."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        await stage.journal.durable_to(JournalPosition(1, -1))
        stage.slow(0, 60)
        waiting = asyncio.create_task(stage.write(0))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnreachable):
            await stage.journal.durable_to(JournalPosition(1, 0))
        await asyncio.sleep(60)
        await stage.journal.durable_to(JournalPosition(1, 0))
        with pytest.raises(Refused):
            await waiting
        stage.journal.abandon()
        with pytest.raises(NotTheWriter):
            await stage.journal.durable_to(JournalPosition(1, 0))

    in_virtual_time(story())


def test_what_cannot_be_done_again_has_an_object_of_its_own() -> None:
    """Records before and after an opaque change are in other objects, in order."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stored = [
            stage.journal.append(record(0)),
            stage.journal.append_opaque(Opaque("PUT /x", 3)),
            stage.journal.append(record(1)),
        ]
        for each in stored:
            await stage.journal.durable(each)
        assert [entry.kind for entry in stage.there().values()] == ["records", "opaque", "records"]

    in_virtual_time(story())


def test_a_closed_journal_takes_no_more_and_is_whole() -> None:
    """Closing waits until all is durable; what comes later is refused, and the position stands."""

    async def story() -> None:
        """Tell it."""
        stage = Stage()
        stage.journal.begin(LINEAGE, 1, "writer")
        stage.slow(0, 1)
        stored = stage.journal.append(record(0))
        await stage.journal.close(seconds=5)
        assert stored.done()
        with pytest.raises(Refused, match="handing over"):
            stage.journal.append(record(1))
        assert stage.journal.position() == JournalPosition(1, 0)

    in_virtual_time(story())
