"""Who goes to the engine beside whom."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from runtime.edge.effects import Effect, Write
from runtime.edge.gate import Refused
from runtime.journal.budget import Budget
from runtime.journal.turns import Granted, Turns
from tests.journal.stage import in_virtual_time

POINTS, OTHER = Write(Effect.POINTS, "c"), Write(Effect.POINTS, "d")
INDEX = Write(Effect.SCHEMA, "c")
ALIASES = Write(Effect.CATALOG)


def turns(*, aliases: dict[str, str] | None = None, sharded: frozenset[str] = frozenset()) -> Turns:
    """Return turns at an engine with these aliases and collections of many shards."""
    return Turns(lambda name: (aliases or {}).get(name, name), lambda name: name in sharded)


async def beside(given: Turns, first: Write, second: Write) -> bool:
    """Return whether a second write gets its turn while a first one has it."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(given.turn(first, alone=False))

        async def take() -> Granted:
            """Take a turn and give it back."""
            async with given.turn(second, alone=False) as granted:
                return granted

        taking = asyncio.create_task(take())
        done, _ = await asyncio.wait({taking}, timeout=1)
        await held.aclose()
        await taking
        return bool(done)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (POINTS, POINTS, True),
        (POINTS, OTHER, True),
        (INDEX, OTHER, True),
        (INDEX, POINTS, False),
        (POINTS, INDEX, False),
        (Write(Effect.BATCH, "c"), POINTS, False),
        (Write(Effect.REPLACE, "c"), POINTS, False),
        (ALIASES, POINTS, False),
        (POINTS, ALIASES, False),
        (Write(Effect.UNKNOWN), OTHER, False),
        (Write(Effect.RECOVER, "c"), OTHER, False),
        (Write(Effect.POINTS), OTHER, False),
        (Write(Effect.POINTS, "s"), Write(Effect.POINTS, "s"), False),
        (Write(Effect.POINTS, "alias"), INDEX, False),
    ],
)
def test_who_goes_beside_whom(first: Write, second: Write, together: bool) -> None:  # noqa: FBT001
    """Points of a collection with one shard go side by side; what has no number of its own goes alone."""

    async def story() -> None:
        """Tell it."""
        given = turns(aliases={"alias": "c"}, sharded=frozenset({"s"}))
        assert await beside(given, first, second) is together
        assert not given._collections

    in_virtual_time(story())


def test_a_write_that_waits_for_ever_is_refused() -> None:
    """A turn that nobody gives back is waited for with a bound, and the wait leaves nothing behind."""

    async def story() -> None:
        """Tell it."""
        given = turns()
        async with given.turn(INDEX, alone=False):
            with pytest.raises(Refused, match="takes its time"):
                async with given.turn(POINTS, alone=False):
                    pass
        async with given.turn(POINTS, alone=False), given.turn(POINTS, alone=False):
            pass
        assert not given._collections

    in_virtual_time(story())


def test_bytes_wait_for_room_and_not_for_ever() -> None:
    """Beyond the bound a taker waits until others give back, is refused after a while, and one alone always fits."""

    async def story() -> None:
        """Tell it."""
        budget = Budget(10)
        await budget.take(25)
        waiting = asyncio.create_task(budget.take(4))
        await asyncio.sleep(1)
        assert not waiting.done()
        budget.give(25)
        await waiting
        await budget.take(6)
        with pytest.raises(Refused, match="more is being written"):
            await budget.take(1)
        budget.give(10)
        assert budget.taken == 0

    in_virtual_time(story())


@pytest.mark.parametrize("becomes", ["another collection", "a collection of many shards"])
def test_a_name_that_means_another_collection_meanwhile_waits_there(becomes: str) -> None:
    """An alias goes with its collection, and a collection may be made anew: the turn is one of what there is then."""

    async def story() -> None:
        """Tell it."""
        aliases = {"alias": "c"}
        sharded: set[str] = set()
        given = Turns(lambda name: aliases.get(name, name), lambda name: name in sharded)

        async def take() -> Granted:
            """Take a turn and give it back."""
            async with given.turn(Write(Effect.POINTS, "alias"), alone=False) as granted:
                return granted

        async with given.turn(Write(Effect.REPLACE, "c"), alone=False):
            taking = asyncio.create_task(take())
            await asyncio.sleep(1)
            if becomes == "another collection":
                aliases.clear()
            else:
                sharded.add("c")
        expected = ("alias", "shared") if becomes == "another collection" else ("c", "collection")
        granted = await taking
        assert (granted.write.collection, granted.turn) == expected

    in_virtual_time(story())
