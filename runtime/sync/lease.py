"""One sync at a time: a lease on the repository, held by changing an object.

Owns the object `sync/LEASE` and its life: taken by compare-and-swap, renewed while it is held, and taken over when its
generation has not changed for as long as three renewals take, by the clock of whoever waits. It keeps two runs from
doing the same work; what is committed is kept right by HEAD's own compare-and-swap, lease or no lease.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable

from runtime.clock import suspended_clock
from runtime.contract import SYNC_LEASE_OBJECT
from runtime.errors import IntegrityError, ObjectMissing, PreconditionFailed, RuntimeFailure, StoreError
from runtime.repository.store import Store

_RENEWALS_TO_EXPIRY = 3
_LOOKS_PER_RENEWAL = 4


class Lost(RuntimeFailure):
    """Somebody else took the lease over, or it could not be renewed in time."""


@contextlib.asynccontextmanager
async def held(
    store: Store, *, renewal_seconds: float, clock: Callable[[], float] = suspended_clock
) -> AsyncIterator[None]:
    """Hold the lease for the duration of the block, which is cancelled when it is lost.

    Raises RuntimeFailure (another run holds it and is alive), Lost, StoreError.
    """
    lease = _Lease(store, renewal_seconds, clock)
    await lease.take()
    block = asyncio.current_task()
    renewing = asyncio.create_task(lease.renew(lambda: block.cancel() if block else None))
    try:
        yield
    except asyncio.CancelledError:
        if lease.lost is not None:
            raise Lost(lease.lost, hint="Run it again: it goes on from where it was") from None
        raise
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        if lease.lost is None:
            with contextlib.suppress(StoreError):  # it expires
                await lease.give_back()


class _Lease:
    def __init__(self, store: Store, renewal_seconds: float, clock: Callable[[], float]) -> None:
        self.lost: str | None = None
        self._store = store
        self._holder = uuid.uuid4().hex
        self._seconds = renewal_seconds
        self._clock = clock
        self._generation = 0

    async def take(self) -> None:
        """Take the lease; wait for its expiry while nobody is seen to renew it."""
        holder, generation = await self._look()
        since = self._clock()
        while holder is not None and self._clock() - since < _RENEWALS_TO_EXPIRY * self._seconds:
            await asyncio.sleep(self._seconds / _LOOKS_PER_RENEWAL)
            holder, now = await self._look()
            if holder is not None and now != generation:
                raise _other_run(str(self._store))
        try:
            await self._swap(self._holder, generation if holder is not None else (await self._look())[1])
        except PreconditionFailed as error:
            raise _other_run(str(self._store)) from error

    async def renew(self, on_loss: Callable[[], object]) -> None:
        """Renew it for as long as it is held."""
        renewed = self._clock()
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._swap(self._holder, self._generation)
                renewed = self._clock()
            except PreconditionFailed:
                self.lost = f"another sync took over the lease in {self._store}"
            except StoreError as error:
                if self._clock() - renewed > _RENEWALS_TO_EXPIRY * self._seconds:
                    self.lost = f"the lease in {self._store} could not be renewed: {error.message}"
            if self.lost is not None:
                on_loss()
                return

    async def give_back(self) -> None:
        """Say that nobody holds it."""
        await self._swap(None, self._generation)

    async def _look(self) -> tuple[str | None, int]:
        """Return who holds it, None if nobody does, and the object's generation."""
        try:
            data, generation = await self._store.read(SYNC_LEASE_OBJECT)
        except ObjectMissing:
            return None, 0
        try:
            holder = json.loads(data)["holder"]
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{SYNC_LEASE_OBJECT} in {self._store} is damaged", hint="Delete that object, then run it again"
            ) from error
        return (None if holder is None else str(holder)), generation

    async def _swap(self, holder: str | None, generation: int) -> None:
        """Change the object. One that is ours already is an answer that was lost, now or at an earlier change."""
        data = json.dumps({"holder": holder, "turn": uuid.uuid4().hex}).encode()
        try:
            self._generation = (await self._store.swap(SYNC_LEASE_OBJECT, data, generation)).generation
        except PreconditionFailed:
            there, now = await self._look()
            if there != self._holder:
                raise
            self._generation = now


def _other_run(where: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"another sync is at work on {where}", hint="Wait for it to end; one that was killed is taken for dead soon"
    )
