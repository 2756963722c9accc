"""Bodies wait in bounded memory: those of writes on their way, and those of a replay."""

import asyncio

from runtime.edge.effects import Write
from runtime.edge.kept import Kept
from runtime.edge.recording import Sent, Turn
from runtime.journal.bodies import Bodies
from runtime.journal.budget import Budget
from runtime.journal.order import Entry
from runtime.repository.journal_object import JournalPosition
from tests.journal.stage import LINEAGE, Stage, in_virtual_time, written


class Room:
    """A recorder as far as bodies that are kept need one: a budget."""

    largest_body = 10
    is_unsettled = False

    def __init__(self, most: int) -> None:
        self.budget = Budget(most)

    async def take(self, size: int) -> None:
        """Take room."""
        await self.budget.take(size)

    def give(self, size: int) -> None:
        """Give it back."""
        self.budget.give(size)

    def turn(self, write: Write, sent: Sent) -> Turn:
        """Nothing goes to an engine here."""
        raise NotImplementedError


async def kept(room: Room, *pieces: bytes) -> bytes | None:
    """Keep a body that comes in pieces, others coming in between; return it."""
    body = Kept(room)  # type: ignore[arg-type]
    try:
        await body.expect(sum(map(len, pieces)))
        for piece in pieces:
            await body.add(piece)
            await asyncio.sleep(0)
        return body.body
    finally:
        body.release()


def test_bodies_that_come_together_do_not_wait_for_each_other() -> None:
    """Two of 8 bytes, in pieces, where 10 have room: the second waits until the first is done, and both are kept."""

    async def story() -> None:
        """Keep both at once."""
        room = Room(10)
        async with asyncio.timeout(5):
            found = tuple(await asyncio.gather(kept(room, b"aaaa", b"bbbb"), kept(room, b"cccc", b"dddd")))
        assert found == (b"aaaabbbb", b"ccccdddd")
        assert room.budget.taken == 0

    in_virtual_time(story())


def test_a_body_that_is_too_large_takes_no_room() -> None:
    """It is not kept, whether its length was told or it turns out."""

    async def story() -> None:
        """Keep one of 11 bytes where 10 are the most."""
        room = Room(100)
        assert await kept(room, b"aaaaaa", b"bbbbb") is None
        body = Kept(room)  # type: ignore[arg-type]
        await body.add(b"aaaaaa")
        await body.add(b"bbbbb")
        assert body.body is None
        assert room.budget.taken == 0

    in_virtual_time(story())


def test_a_replay_gets_its_bodies_in_order_in_batches_of_so_many_bytes_reading_none_twice_that_it_could_hold() -> None:
    """Five objects of 4 bytes where 8 are held: the first two are not read again, the others once, in order."""

    async def story() -> None:
        """Take all in, then ask for them."""
        stage = Stage()
        bodies = Bodies(stage.repository, LINEAGE, most_held=8)
        entries: list[Entry] = []
        for number in range(5):
            found = written(1, number, b"%4d" % number)
            entries += bodies.entries(found)
            if number > 1:
                stage.put(found)  # what is held must not be asked for: the first two are not there
        batches = [some async for some in bodies.batches(entries, 10, 9)]
        assert [[body for _, body in some] for some in batches] == [[b"   0", b"   1"], [b"   2", b"   3"], [b"   4"]]
        assert [entry for some in batches for entry, _ in some] == entries
        assert [entry.position for entry in entries] == [JournalPosition(1, number) for number in range(5)]

    in_virtual_time(story())


def test_a_body_larger_than_a_batch_goes_alone() -> None:
    """It is done again all the same, and so is what follows."""

    async def story() -> None:
        """Ask for a small, a large and a small one."""
        bodies = Bodies(Stage().repository, LINEAGE)
        entries = bodies.entries(written(1, 0, b"a", b"bbbbbb", b"c"))
        assert [len(some) async for some in bodies.batches(entries, 10, 4)] == [1, 1, 1]
        assert [len(some) async for some in bodies.batches(entries, 2, 100)] == [2, 1]

    in_virtual_time(story())
