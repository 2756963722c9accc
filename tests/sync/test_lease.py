"""One sync at a time: the lease alone, by a clock that the test turns."""

import asyncio
import contextlib
import itertools

import pytest

from runtime.contract import SYNC_LEASE_OBJECT
from runtime.errors import IntegrityError, RuntimeFailure
from runtime.sync import lease
from tests.support.faults import Faults
from tests.support.model_store import FaultKind, ModelBucket, ModelStore
from tests.support.virtual_time import run

RENEWAL = 10.0
_NAMES = itertools.count()


def held(bucket: ModelBucket, faults: Faults | None = None) -> contextlib.AbstractAsyncContextManager[None]:
    """Hold the lease as a run of its own."""
    store = ModelStore(bucket, f"run-{next(_NAMES)}", plan=faults or Faults())
    return lease.held(store, renewal_seconds=RENEWAL, clock=asyncio.get_running_loop().time)


def test_a_run_takes_the_lease_that_another_gave_back_at_once() -> None:
    """Nobody waits for one that ended."""

    async def story() -> None:
        """Tell it."""
        bucket = ModelBucket()
        for _ in range(3):
            async with held(bucket):
                pass
        assert asyncio.get_running_loop().time() < RENEWAL

    run(story())


def test_a_run_beside_one_that_lives_is_refused() -> None:
    """However long the first takes: it is seen to renew the lease."""

    async def story() -> None:
        """Tell it."""
        bucket = ModelBucket()
        async with held(bucket):
            await asyncio.sleep(20 * RENEWAL)
            with pytest.raises(RuntimeFailure, match="another sync is at work"):
                async with held(bucket):
                    pass

    run(story())


def test_the_lease_of_a_run_that_died_is_taken_over_after_three_renewals() -> None:
    """Not before, and by one alone of two that wait for it."""

    async def story() -> None:
        """Tell it."""
        bucket, loop = ModelBucket(), asyncio.get_running_loop()
        cut_off = Faults()

        async def die() -> None:
            """Hold it, and end without a word."""
            async with held(bucket, cut_off):
                cut_off.down = True  # nothing of it reaches the bucket from here on, nor that it ends
                raise RuntimeFailure("dead")

        with pytest.raises(RuntimeFailure, match="dead"):
            await die()
        began = loop.time()
        won = []

        async def take() -> None:
            """Hold it for a while."""
            async with held(bucket):
                won.append(loop.time() - began)
                await asyncio.sleep(2 * RENEWAL)

        results = await asyncio.gather(take(), take(), return_exceptions=True)
        assert len(won) == 1
        assert won[0] >= 3 * RENEWAL
        assert sum(isinstance(result, RuntimeFailure) for result in results) == 1

    run(story())


def test_a_run_whose_lease_was_taken_over_is_stopped() -> None:
    """Frozen for long, it finds another's name in the lease: what it was doing is cancelled, and it says why."""

    async def story() -> None:
        """Tell it."""
        bucket = ModelBucket()

        async def work() -> None:
            """Hold it for longer than that."""
            async with held(bucket):
                other, generation = ModelStore(bucket, "other"), bucket.objects[SYNC_LEASE_OBJECT].generation
                await other.swap(SYNC_LEASE_OBJECT, b'{"holder": "other"}', generation)
                await asyncio.sleep(100 * RENEWAL)

        with pytest.raises(lease.Lost, match="another sync took over"):
            await work()
        assert asyncio.get_running_loop().time() < 2 * RENEWAL

    run(story())


@pytest.mark.parametrize("kind", [FaultKind.FAIL_BEFORE, FaultKind.FAIL_AFTER, FaultKind.RETRIED])
def test_a_renewal_whose_answer_is_lost_loses_nothing(kind: FaultKind) -> None:
    """The next one finds its own name, whatever became of the one before."""

    async def story() -> None:
        """Tell it."""
        bucket, faults = ModelBucket(), Faults()
        async with held(bucket, faults):
            faults.next("swap", kind, times=2)
            await asyncio.sleep(10 * RENEWAL)
        async with held(bucket):
            pass

    run(story())


def test_a_run_that_cannot_renew_stops_in_time() -> None:
    """With the bucket down it ends before anybody may take the lease over for long, and says why."""

    async def story() -> None:
        """Tell it."""
        bucket, faults = ModelBucket(), Faults()

        async def work() -> None:
            """Hold it for longer than that."""
            async with held(bucket, faults):
                faults.down = True
                await asyncio.sleep(100 * RENEWAL)

        with pytest.raises(lease.Lost, match="could not be renewed"):
            await work()
        assert asyncio.get_running_loop().time() <= 4 * RENEWAL

    run(story())


def test_a_lease_that_is_no_lease_is_told_with_its_name() -> None:
    """A damaged object names itself and what to do."""

    async def story() -> None:
        """Tell it."""
        bucket = ModelBucket()
        bucket.put("somebody", "swap", SYNC_LEASE_OBJECT, b"hello", 0)
        with pytest.raises(IntegrityError, match="sync/LEASE"):
            async with held(bucket):
                pass

    run(story())
