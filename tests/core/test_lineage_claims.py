from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from runtime.errors import NotTheWriter, StoreUnreachable
from runtime.repository.head import Request
from runtime.repository.repository import Superseded
from tests.support import manifests
from tests.support.lineage_members import LOST, World, refused, run, seen, taken_over, writer
from tests.support.model_store import FaultKind


@pytest.mark.parametrize("kind", [None, *LOST])
def test_a_new_lineage_is_its_maker_s(kind: FaultKind | None) -> None:
    """It starts at epoch 1 without a backup, its maker may acknowledge, and a lost reply changes nothing."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = world.instance("a")
        if kind:
            instance.faults.next("swap", kind)
        await instance.lineage.create()
        assert world.head() == replace(manifests.head(1, 0, holder="a"), lineage=world.head().lineage)
        assert await instance.lineage.acknowledge() == 1
        assert world.swaps() == 1

    run(story)


def test_only_one_of_two_makes_the_lineage() -> None:
    """The second maker is told who was first, and is no writer."""

    async def story(world: World) -> None:
        """Tell it."""
        await writer(world)
        second = world.instance("b")
        with pytest.raises(Superseded) as caught:
            await second.lineage.create()
        assert caught.value.found is not None
        assert caught.value.found.head.holder == "a"
        assert not second.lineage.is_writer
        assert await refused(second) == "this instance is not the writer"

    run(story)


@pytest.mark.parametrize("kind", [None, *LOST])
def test_a_claim_takes_the_next_epoch_and_the_state_as_it_is(kind: FaultKind | None) -> None:
    """A claim changes epoch and holder alone, answers the request, and a lost reply is looked up."""

    async def story(world: World) -> None:
        """Tell it."""
        first = await writer(world)
        await first.commit(clean=True)
        second = world.instance("b")
        state = await second.lineage.ask(await seen(second), Request("b", "start"))
        if kind:
            second.faults.next("swap", kind)
        await second.lineage.claim(state)
        assert world.head() == replace(state.head, epoch=2, holder="b", clean=False, requested_by=None)
        assert await second.lineage.acknowledge() == 2

    run(story)


def test_a_claim_that_never_arrived_is_no_claim() -> None:
    """A swap that failed without effect leaves the lineage where it was."""

    async def story(world: World) -> None:
        """Tell it."""
        await writer(world)
        second = world.instance("b")
        state = await seen(second)
        second.faults.next("swap", FaultKind.FAIL_BEFORE)
        with pytest.raises(StoreUnreachable):
            await second.lineage.claim(state)
        assert not second.lineage.is_writer
        assert world.head().epoch == 1

    run(story)


def test_of_two_claims_one_wins() -> None:
    """Both read the same HEAD; the second to swap is superseded."""

    async def story(world: World) -> None:
        """Tell it."""
        await writer(world)
        second, third = world.instance("b"), world.instance("c")
        states = await seen(second), await seen(third)
        await third.lineage.claim(states[1])
        with pytest.raises(Superseded):
            await second.lineage.claim(states[0])
        assert (third.lineage.is_writer, second.lineage.is_writer) == (True, False)
        assert world.head().epoch == 2

    run(story)


@pytest.mark.parametrize("action", ["commit", "touch", "decline", "release"])
def test_one_that_is_not_the_writer_any_more_changes_nothing(action: str) -> None:
    """After another's claim every change is refused, the old writer is fenced once, and HEAD stays."""

    async def story(world: World) -> None:
        """Tell it."""
        old = await writer(world)
        manifest = old.manifest()
        await taken_over(world)
        before = world.head()
        actions: dict[str, Callable[[], Awaitable[object]]] = {
            "commit": lambda: old.lineage.commit(manifest, clean=True),
            "touch": old.lineage.touch,
            "decline": old.lineage.decline,
            "release": old.lineage.release,
        }
        for _ in range(2):
            with pytest.raises(NotTheWriter):
                await actions[action]()
        assert world.head() == before
        assert (old.fenced, old.lineage.is_writer, old.lineage.epoch) == (1, False, None)
        assert await refused(old) == "this instance is not the writer"
        with pytest.raises(NotTheWriter):
            old.lineage.position("change")

    run(story)


def test_touch_changes_the_generation_and_nothing_else() -> None:
    """Whoever waits sees that the writer is alive; a request that came meanwhile stays."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        other = world.instance("b")
        asked = await other.lineage.ask(await seen(other), Request("b", "start"))
        await instance.lineage.touch()
        state = await seen(other)
        assert state.head == asked.head
        assert state.generation > asked.generation

    run(story)


def test_decline_takes_the_request_out() -> None:
    """The request is gone from HEAD, and the writer may be relied on again."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        other = world.instance("b")
        await other.lineage.ask(await seen(other), Request("b", "write"))
        await instance.lineage.look()
        await instance.lineage.decline()
        assert world.head().requested_by is None
        assert instance.lineage.request is None
        assert await instance.lineage.acknowledge() == 1

    run(story)


@pytest.mark.parametrize("kind", [None, *LOST])
def test_release_says_clean_and_standing_by_ends_the_part(kind: FaultKind | None) -> None:
    """A yielding writer acknowledges nothing from the start of it, and says `clean` in the end."""

    async def story(world: World) -> None:
        """Tell it."""
        instance = await writer(world)
        instance.lineage.begin_yielding()
        yielding = [instance.lineage.is_yielding]
        assert "handing over" in await refused(instance)
        if kind:
            instance.faults.next("swap", kind)
        await instance.lineage.release()
        assert world.head().clean
        instance.lineage.stand_by()
        assert not instance.lineage.is_writer
        assert instance.fenced == 0
        await instance.lineage.claim(await seen(instance))
        assert [*yielding, instance.lineage.is_yielding] == [True, False]
        assert await instance.lineage.acknowledge() == 2

    run(story)


@pytest.mark.parametrize("kind", [None, *LOST])
def test_who_goes_takes_its_own_request_along_and_nothing_else(kind: FaultKind | None) -> None:
    """Also when the writer has let go meanwhile, and when the reply is lost; another's request stays where it is."""

    async def story(world: World) -> None:
        """Tell it."""
        first, second, third = await writer(world), world.instance("b"), world.instance("c")
        await second.lineage.ask(await seen(second), Request("b", "start"))
        await first.lineage.look()
        await first.commit(clean=True)
        let_go = world.head()
        assert let_go.requested_by == Request("b", "start")
        if kind:
            await second.lineage.look()
            second.faults.next("swap", kind)
        await second.lineage.withdraw()
        assert world.head() == replace(let_go, requested_by=None)
        await third.lineage.claim(await seen(third))
        assert world.head().epoch == 2

        await second.lineage.ask(await seen(second), Request("b", "write"))
        await first.lineage.ask(await seen(first), Request("a", "start"))
        before = world.head()
        await second.lineage.withdraw()
        await third.lineage.withdraw()
        assert world.head() == before

    run(story)
