import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from runtime.edge.gate import Refused
from runtime.errors import IntegrityError, NotTheWriter, StoreError, StoreUnreachable
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.head import Head, Request
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository, Superseded
from runtime.settings import StoreOutage
from tests.support import manifests
from tests.support.faults import Faults
from tests.support.model_store import FaultKind, ModelBucket, ModelStore

T = TypeVar("T")

TIMEOUT = 10.0
FRESH = TIMEOUT / 2
LOST = [FaultKind.FAIL_AFTER, FaultKind.RETRIED]


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class World:
    """A bucket and the instances that share it."""

    bucket: ModelBucket = field(default_factory=ModelBucket)
    clock: Clock = field(default_factory=Clock)

    def instance(self, name: str, *, outage: StoreOutage = "refuse") -> "Instance":
        """Return another instance."""
        return Instance(self, name, outage)

    def head(self) -> Head:
        """Return HEAD as it is in the bucket."""
        return Head.decode(self.bucket.objects[names.HEAD].data)

    def swaps(self) -> int:
        """Return how often HEAD was changed."""
        return sum(name == names.HEAD for _, _, name, _ in self.bucket.effects)


class Instance:
    """One instance's lineage, what may happen to its store, and whether it was fenced."""

    def __init__(self, world: World, name: str, outage: StoreOutage) -> None:
        self.faults = Faults()
        self.store = ModelStore(world.bucket, name, plan=self.faults)
        self.lineage = Lineage(Repository(self.store), name, timeout_seconds=TIMEOUT, outage=outage, clock=world.clock)
        self.fenced = 0
        self.lineage.on_fenced = self._on_fenced

    def _on_fenced(self) -> None:
        self.fenced += 1

    def manifest(self, reason: str = "change") -> Manifest:
        """Return the manifest of the next backup."""
        position = self.lineage.position(reason)
        return manifests.manifest(
            position.epoch, position.seq, lineage=position.lineage, writer=position.writer, reason=reason
        )

    async def commit(self, *, clean: bool = False) -> str:
        """Commit a backup of nothing."""
        return await self.lineage.commit(self.manifest(), clean=clean)


def run(story: Callable[[World], Awaitable[T]]) -> T:
    """Run a story in a world of its own."""

    async def tell() -> T:
        """Tell it."""
        return await story(World())

    return asyncio.run(tell())


async def seen(instance: Instance) -> HeadState:
    """Return HEAD as an instance reads it, which has to be there."""
    state = await instance.lineage.look()
    assert state is not None
    return state


async def writer(world: World, name: str = "a", *, outage: StoreOutage = "refuse") -> Instance:
    """Return an instance that made the lineage."""
    instance = world.instance(name, outage=outage)
    await instance.lineage.create()
    return instance


async def taken_over(world: World, name: str = "b") -> Instance:
    """Return another instance that claimed the lineage."""
    instance = world.instance(name)
    await instance.lineage.claim(await seen(instance))
    return instance


async def refused(instance: Instance) -> str:
    """Return why an acknowledgement is refused."""
    with pytest.raises(Refused) as caught:
        await instance.lineage.acknowledge()
    return caught.value.reason


@pytest.mark.parametrize("kind", [None, *LOST])
def test_a_new_lineage_is_its_maker_s(kind: FaultKind | None) -> None:
    """It starts at epoch 1 without a backup, its maker may acknowledge, and a lost reply changes nothing."""

    async def story(world: World) -> None:
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
        await writer(world)
        second, third = world.instance("b"), world.instance("c")
        states = await seen(second), await seen(third)
        await third.lineage.claim(states[1])
        with pytest.raises(Superseded):
            await second.lineage.claim(states[0])
        assert (third.lineage.is_writer, second.lineage.is_writer) == (True, False)
        assert world.head().epoch == 2

    run(story)


@pytest.mark.parametrize("clean", [False, True])
def test_commits_are_numbered_without_gaps(clean: bool) -> None:  # noqa: FBT001
    """Each commit is the next number, HEAD names its manifest by hash, and `clean` is said when it is meant."""

    async def story(world: World) -> None:
        instance = await writer(world)
        for seq in (1, 2, 3):
            name = await instance.commit(clean=clean and seq == 3)
            assert name == manifests.manifest_name(1, seq)
        head = world.head()
        assert (head.seq, head.manifest, head.clean) == (3, manifests.manifest_name(1, 3), clean)
        await Repository(instance.store).manifest(manifests.manifest_name(1, 3), head.manifest_sha256)
        assert instance.lineage.position("change").seq == 4

    run(story)


@pytest.mark.parametrize("verb", ["write_new", "swap"])
@pytest.mark.parametrize("kind", LOST)
def test_a_commit_whose_reply_was_lost_is_done(verb: str, kind: FaultKind) -> None:
    """A reply lost on the manifest or on HEAD: the commit is found done, or finished; once, with the same number."""

    async def story(world: World) -> None:
        instance = await writer(world)
        await instance.commit()
        manifest = instance.manifest()
        instance.faults.next(verb, kind)
        try:
            name = await instance.lineage.commit(manifest, clean=False)
        except StoreUnreachable:
            finished = await instance.lineage.finish_pending()
            assert finished is not None
            name, found = finished
            assert found == manifest
        assert (world.head().seq, world.head().manifest) == (2, name)
        assert await instance.lineage.finish_pending() is None
        assert instance.lineage.position("change").seq == 3

    run(story)


@pytest.mark.parametrize("verb", ["write_new", "swap"])
@pytest.mark.parametrize("kind", [FaultKind.FAIL_BEFORE, FaultKind.FAIL_LATE])
def test_a_commit_that_failed_is_finished_before_the_next(verb: str, kind: FaultKind) -> None:
    """What was left half-way gets the number it had, then the next one follows: no gap, nothing twice."""

    async def story(world: World) -> None:
        instance = await writer(world)
        instance.faults.next(verb, kind)
        pending = instance.manifest()
        with pytest.raises(StoreError):
            await instance.lineage.commit(pending, clean=True)
        finished = await instance.lineage.finish_pending()
        assert finished == (manifests.manifest_name(1, 1), pending)
        assert not world.head().clean
        await asyncio.sleep(0.01)  # a late effect, if there is one, comes now
        await instance.commit()
        assert (world.head().seq, world.head().manifest) == (2, manifests.manifest_name(1, 2))

    run(story)


def test_a_commit_with_the_store_down_keeps_its_place() -> None:
    """However often finishing fails, the pending commit stays the next."""

    async def story(world: World) -> None:
        instance = await writer(world)
        pending = instance.manifest()
        instance.faults.down = True
        for attempt in (
            instance.lineage.commit(pending, clean=False),
            *(instance.lineage.finish_pending() for _ in "ab"),
        ):
            with pytest.raises(StoreUnreachable):
                await attempt
        instance.faults.down = False
        assert await instance.lineage.finish_pending() == (manifests.manifest_name(1, 1), pending)

    run(story)


def test_a_commit_merges_with_a_request() -> None:
    """A request that arrived meanwhile stays in HEAD; the commit is made."""

    async def story(world: World) -> None:
        instance = await writer(world)
        other = world.instance("b")
        await other.lineage.ask(await seen(other), Request("b", "start"))
        await instance.commit()
        assert (world.head().seq, world.head().requested_by) == (1, Request("b", "start"))
        assert instance.lineage.request == Request("b", "start")

    run(story)


@pytest.mark.parametrize("action", ["commit", "touch", "decline", "release"])
def test_one_that_is_not_the_writer_any_more_changes_nothing(action: str) -> None:
    """After another's claim every change is refused, the old writer is fenced once, and HEAD stays."""

    async def story(world: World) -> None:
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


def test_a_fenced_writer_s_pending_commit_is_gone() -> None:
    """What was left half-way is not finished in another's epoch, nor in a later one of its own."""

    async def story(world: World) -> None:
        old = await writer(world)
        old.faults.next("swap", FaultKind.FAIL_BEFORE)
        with pytest.raises(StoreUnreachable):
            await old.commit()
        newer = await taken_over(world)
        await newer.commit(clean=True)
        with pytest.raises(NotTheWriter):
            await old.lineage.finish_pending()
        await old.lineage.claim(await seen(old))
        assert await old.lineage.finish_pending() is None
        assert world.head().manifest == manifests.manifest_name(2, 1)

    run(story)


def test_a_deleted_head_fences() -> None:
    """A HEAD that is gone is nobody's: the writer stops, and makes no new one."""

    async def story(world: World) -> None:
        instance = await writer(world)
        del world.bucket.objects[names.HEAD]
        with pytest.raises(NotTheWriter):
            await instance.commit()
        assert instance.fenced == 1
        assert names.HEAD not in world.bucket.objects

    run(story)


def test_touch_changes_the_generation_and_nothing_else() -> None:
    """Whoever waits sees that the writer is alive; a request that came meanwhile stays."""

    async def story(world: World) -> None:
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


def test_a_fresh_head_needs_no_reading() -> None:
    """Within half the time-out of HEAD's last reading an acknowledgement asks nobody; after it, HEAD is read."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.clock.now += FRESH - 0.001
        before = instance.store.operations
        await instance.lineage.acknowledge()
        assert instance.store.operations == before
        world.clock.now += 0.001
        await instance.lineage.acknowledge()
        assert instance.store.operations == before + 1

    run(story)


def test_freshness_counts_from_before_the_reading() -> None:
    """A reading that took long is as old as its beginning."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.clock.now += FRESH

        async def slow() -> None:
            """Let the clock go on while the store works."""
            world.clock.now += FRESH / 4

        instance.store.schedule = slow
        assert await instance.lineage.acknowledge() == 1
        instance.store.schedule = _at_once
        world.clock.now += FRESH / 2
        before = instance.store.operations
        await instance.lineage.acknowledge()
        assert instance.store.operations == before + 1

    run(story)


async def _at_once() -> None:
    """Go on."""


def test_a_reading_that_took_too_long_proves_nothing() -> None:
    """HEAD read for longer than half the time-out is not fresh when it comes: the write is refused."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.clock.now += FRESH

        async def frozen() -> None:
            """Let a whole time-out pass while the store works."""
            world.clock.now += TIMEOUT

        instance.store.schedule = frozen
        await refused(instance)

    run(story)


def test_a_frozen_writer_refuses_when_it_wakes() -> None:
    """A writer that slept while another claimed reads HEAD before it answers, and does not acknowledge."""

    async def story(world: World) -> None:
        old = await writer(world)
        await taken_over(world)
        world.clock.now += TIMEOUT
        assert await refused(old) == "this instance is not the writer"
        assert old.fenced == 1

    run(story)


def test_a_foreign_request_is_not_outwaited() -> None:
    """While another asks, reading HEAD adds no freshness; a change of the writer's own does."""

    async def story(world: World) -> None:
        instance = await writer(world)
        other = world.instance("b")
        await other.lineage.ask(await seen(other), Request("b", "start"))
        await instance.lineage.acknowledge()
        world.clock.now += FRESH
        assert "asks to take over" in await refused(instance)
        await instance.lineage.touch()
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_an_own_request_is_no_obstacle() -> None:
    """A request left in HEAD by the writer itself is not another's."""

    async def story(world: World) -> None:
        instance = await writer(world)
        await instance.lineage.ask(await seen(instance), Request("a", "write"))
        assert instance.lineage.request is None
        world.clock.now += FRESH
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_with_the_store_down_writes_are_refused_with_the_reason() -> None:
    """Under `refuse` nothing is acknowledged beyond half the time-out without the store, and all is well after it."""

    async def story(world: World) -> None:
        instance = await writer(world)
        instance.faults.down = True
        await instance.lineage.acknowledge()
        world.clock.now += FRESH
        assert "bucket cannot be asked" in await refused(instance)
        assert instance.lineage.is_writer
        instance.faults.down = False
        assert await instance.lineage.acknowledge() == 1

    run(story)


def test_with_the_store_down_writes_are_accepted_and_counted_if_so_decided() -> None:
    """Under `accept` each acknowledgement without a fresh HEAD is counted; a damaged HEAD or a fence still refuses."""

    async def story(world: World) -> None:
        instance = await writer(world, outage="accept")
        instance.faults.down = True
        world.clock.now += FRESH
        for count in (1, 2, 3):
            assert await instance.lineage.acknowledge() == 1
            assert instance.lineage.unconfirmed_count == count
        instance.faults.down = False
        whole = world.bucket.objects[names.HEAD].data
        world.bucket.objects[names.HEAD].data = b"damaged"
        assert "bucket cannot be asked" in await refused(instance)
        world.bucket.objects[names.HEAD].data = whole
        await taken_over(world)
        assert await refused(instance) == "this instance is not the writer"
        assert instance.lineage.unconfirmed_count == 3

    run(story)


def test_many_writes_at_once_read_head_once() -> None:
    """Writes that wait for the same answer share it."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.clock.now += FRESH
        before = instance.store.operations
        assert await asyncio.gather(*(instance.lineage.acknowledge() for _ in range(50))) == [1] * 50
        assert instance.store.operations == before + 1

    run(story)


@pytest.mark.parametrize("outage", ["refuse", "accept"])
def test_many_writes_at_once_wait_for_one_failure(outage: StoreOutage) -> None:
    """With the store down, writes that came together wait for its deadline once, not one after the other."""

    async def story(world: World) -> None:
        instance = await writer(world, outage=outage)
        world.clock.now += FRESH
        instance.faults.down = True
        before = instance.store.operations
        calls = (instance.lineage.acknowledge() for _ in range(50))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert instance.store.operations == before + 1
        if outage == "accept":
            assert answers == [1] * 50
            assert instance.lineage.unconfirmed_count == 50
        else:
            assert all(isinstance(answer, Refused) for answer in answers)

    run(story)


def test_a_cancelled_write_takes_nobody_s_answer_away() -> None:
    """The write that asked first may leave; those that wait with it are answered."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.clock.now += FRESH
        first = asyncio.create_task(instance.lineage.acknowledge())
        others = [asyncio.create_task(instance.lineage.acknowledge()) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [1] * 5

    run(story)


def test_a_stale_reading_is_ignored() -> None:
    """An answer that was under way while HEAD was changed does not undo what is known."""

    async def story(world: World) -> None:
        instance = await writer(world)
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def held() -> None:
            """Hold the reply of the reading."""
            if reached.is_set():
                await go_on.wait()
            reached.set()

        instance.store.schedule = held
        reading = asyncio.create_task(instance.lineage.look())
        while instance.store.operations < 2 or not reached.is_set():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        instance.store.schedule = _at_once
        await instance.commit()
        known = instance.lineage.seen
        go_on.set()
        stale = await reading
        assert stale is not None
        assert known is not None
        assert stale.generation < known.generation
        assert instance.lineage.seen == known
        assert instance.fenced == 0

    run(story)


def test_a_damaged_head_is_no_missing_head() -> None:
    """Reading it raises, and the writer is not fenced by it."""

    async def story(world: World) -> None:
        instance = await writer(world)
        world.bucket.objects[names.HEAD].data = b"{}"
        with pytest.raises(IntegrityError):
            await instance.lineage.look()
        assert instance.lineage.is_writer

    run(story)


def test_endless_contention_is_given_up() -> None:
    """A HEAD that changes before every swap ends in an error that says so, not in a loop."""

    async def story(world: World) -> None:
        instance = await writer(world)
        rival = ModelStore(world.bucket, "rival")

        async def interfere() -> None:
            """Change HEAD's generation before each of the writer's operations."""
            there = world.bucket.objects[names.HEAD]
            await rival.swap(names.HEAD, there.data, there.generation)

        instance.store.schedule = interfere
        with pytest.raises(StoreError, match="times"):
            await instance.lineage.release()
        assert instance.lineage.is_writer

    run(story)
