"""How long a look at HEAD lets an instance acknowledge, where few seeds would notice."""

import asyncio

import pytest

from runtime.edge.gate import Refused
from runtime.lineage import Lineage
from runtime.repository.head import Request
from runtime.repository.repository import Repository
from tests.support.model_store import Fault, FaultKind, ModelBucket, ModelStore
from tests.support.virtual_time import run

TIMEOUT = 2.0


def lineage_of(store: ModelStore) -> Lineage:
    """Return an instance's view of the lineage, on virtual time."""
    clock = asyncio.get_running_loop().time
    return Lineage(Repository(store), store.client_id, timeout_seconds=TIMEOUT, outage="refuse", clock=clock)


def test_a_look_that_shows_a_request_adds_nothing() -> None:
    """Whoever asked may claim after a whole time-out, so reading its request proves nothing about later."""

    async def story() -> None:
        """Claim, be asked, let the first look grow old, and look again."""
        bucket = ModelBucket()
        writer, other = lineage_of(ModelStore(bucket, "writer")), lineage_of(ModelStore(bucket, "other"))
        await writer.create()
        state = await other.look()
        assert state is not None
        await other.ask(state, Request("other", "start"))
        assert await writer.acknowledge() == 1
        await asyncio.sleep(TIMEOUT / 2 + 0.01)
        with pytest.raises(Refused):
            await writer.acknowledge()

    run(story())


def test_a_look_is_as_old_as_its_question() -> None:
    """An answer that was long on its way says what HEAD was when it was asked, not when it arrived."""

    async def story() -> None:
        """Let the answer to the second look take most of the time that it would be worth."""
        slow = Fault(FaultKind.DELAY_REPLY, TIMEOUT * 0.45)
        store = ModelStore(ModelBucket(), "writer", plan=lambda number, _verb, _name: slow if number == 1 else None)
        writer = lineage_of(store)
        await writer.create()
        await asyncio.sleep(TIMEOUT / 2 + 0.01)
        assert await writer.acknowledge() == 1
        assert store.operations == 2
        await asyncio.sleep(TIMEOUT * 0.1)
        assert await writer.acknowledge() == 1
        assert store.operations == 3

    run(story())
