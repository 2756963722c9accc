"""Who may write: one instance's part in the commit and hand-over protocol.

Owns every change of HEAD that an instance makes, and the rule that an acknowledgement needs a fresh HEAD. All of it
is compare-and-swap on HEAD's generation; nothing here trusts a wall clock or another instance's word. Takes no
backup and starts no engine.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

from runtime.composition import Position
from runtime.edge.gate import Refused
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure, StoreError, StoreUnreachable
from runtime.repository.head import Head, Request
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository, Superseded
from runtime.settings import StoreOutage

# Contention on HEAD is two or three instances, each polling every second or two.
_MOST_SWAPS = 16


class Lineage:
    """This instance's view of HEAD, and what it may do with it.

    `clock` must not stop while the machine is suspended: freshness is measured with it.
    """

    def __init__(
        self,
        repository: Repository,
        instance: str,
        *,
        timeout_seconds: float,
        outage: StoreOutage,
        clock: Callable[[], float],
    ) -> None:
        self.instance = instance
        self.seen: HeadState | None = None
        self.unconfirmed_count = 0
        self.on_fenced: Callable[[], None] = lambda: None
        self.repository = repository
        self._timeout = timeout_seconds
        self._outage: StoreOutage = outage
        self._clock = clock
        self._epoch: int | None = None
        self._fresh_until = float("-inf")
        self._yielding = False
        self._pending: Manifest | None = None
        self._failure: StoreError | IntegrityError | None = None
        self._reading: asyncio.Task[RuntimeFailure | None] | None = None
        self._swapping = asyncio.Lock()

    @property
    def is_writer(self) -> bool:
        """Whether this instance claimed the lineage and has not seen that another did."""
        return self._epoch is not None

    @property
    def epoch(self) -> int | None:
        """The epoch this instance writes in, if it is the writer."""
        return self._epoch

    @property
    def is_yielding(self) -> bool:
        """Whether this instance has begun to hand over."""
        return self._yielding

    @property
    def request(self) -> Request | None:
        """What another instance asked for, as far as HEAD was read."""
        request = self.seen.head.requested_by if self.seen else None
        return request if request and request.instance != self.instance else None

    async def look(self) -> HeadState | None:
        """Read HEAD and take note of it. Raises StoreError, IntegrityError."""
        sent = self._clock()
        try:
            found = await self.repository.head()
        except (StoreError, IntegrityError) as error:
            self._failure = error
            raise
        self._note(found, sent)
        return found

    async def look_briefly(self) -> HeadState | None:
        """Look, but wait no longer for the store than an acknowledgement may rely on what was read before.

        Raises StoreError, IntegrityError.
        """
        try:
            async with asyncio.timeout(self._timeout / 2):
                return await self.look()
        except TimeoutError as error:
            self._failure = StoreUnreachable(f"{self.repository} did not answer within {self._timeout / 2:g} s")
            raise self._failure from error

    async def acknowledge(self) -> int:
        """Return the epoch when a write may be acknowledged: HEAD was seen to be ours within half the time-out.

        Otherwise HEAD is read first. Raises Refused, with the reason for the client.
        """
        epoch = self.writing_epoch()
        if self._clock() < self._fresh_until:
            return epoch
        await self._refresh()
        return self.writing_epoch()

    def writing_epoch(self) -> int:
        """Return the epoch as far as this instance knows: with a journal its seal is what says more. Raises Refused."""
        if self._epoch is None:
            raise Refused("this instance is not the writer", retry_after=1)
        if self._yielding:
            raise Refused("this instance is handing over to another", retry_after=1)
        return self._epoch

    async def create(self) -> None:
        """Make a new lineage, ours from the start. Raises Superseded when somebody else did."""
        head = Head(uuid.uuid4().hex, 1, self.instance, 0, None, None, clean=False, requested_by=None)
        sent = self._clock()
        self._claimed(await self.repository.swap_head(head, 0), sent)

    async def claim(self, state: HeadState) -> None:
        """Take the lineage over as it was read in `state`. Raises Superseded when HEAD has changed since."""
        head = replace(state.head, epoch=state.head.epoch + 1, holder=self.instance, clean=False, requested_by=None)
        sent = self._clock()
        self._claimed(await self.repository.swap_head(head, state.generation), sent)

    async def ask(self, state: HeadState, request: Request) -> HeadState:
        """Ask the writer to hand over. Raises Superseded when HEAD has changed since `state` was read."""
        found = await self.repository.swap_head(replace(state.head, requested_by=request), state.generation)
        self._note(found, self._clock())
        return found

    async def withdraw(self) -> None:
        """Take back what this instance asked for, as far as it knows: nobody has to wait for one that will not come.

        Raises StoreError, IntegrityError.
        """
        state = self.seen
        for _ in range(_MOST_SWAPS):
            request = state.head.requested_by if state else None
            if state is None or request is None or request.instance != self.instance:
                return
            try:
                state = await self.repository.swap_head(replace(state.head, requested_by=None), state.generation)
            except Superseded as superseded:
                state = superseded.found
            self._note(state, self._clock())

    def head_seq(self) -> int:
        """Return the number of the newest backup, as far as HEAD was read; one left half-way counts: it is finished."""
        newest = self.seen.head.seq if self.seen else 0
        return max(newest, self._pending.seq) if self._pending is not None else newest

    def position(self, reason: str, skipped: tuple[str, ...] = ()) -> Position:
        """Return where the next backup goes. Raises NotTheWriter."""
        if self._epoch is None or self.seen is None:
            raise NotTheWriter("this instance is not the writer any more")
        head = self.seen.head
        return Position(head.lineage, self._epoch, head.seq + 1, self.instance, reason, skipped)

    async def commit(self, manifest: Manifest, *, clean: bool) -> str:
        """Publish a backup whose packs are in the store; return its manifest's object name.

        A commit that failed half-way is finished first, by `finish_pending`: sequence numbers have no gaps, which is
        how a later reader tells a committed manifest from one that a crash left behind. Raises NotTheWriter,
        StoreError (then the commit is pending, maybe done).
        """
        self._pending = manifest
        name, sha256 = await self.repository.write_manifest(manifest)
        await self._change(
            lambda head: replace(head, seq=manifest.seq, manifest=name, manifest_sha256=sha256, clean=clean)
        )
        self._pending = None
        return name

    async def finish_pending(self) -> tuple[str, Manifest] | None:
        """Finish the commit that an error left half-way, if any. Raises as `commit`."""
        pending = self._pending
        if pending is None:
            return None
        return await self.commit(pending, clean=False), pending

    async def release(self) -> None:
        """Say that everything acknowledged is committed and nothing more will come. Raises NotTheWriter, StoreError."""
        await self._change(lambda head: replace(head, clean=True))

    async def touch(self) -> None:
        """Show whoever waits that the writer is alive. Raises NotTheWriter, StoreError."""
        await self._change(lambda head: head)

    async def decline(self) -> None:
        """Turn a request down. Raises NotTheWriter, StoreError."""
        await self._change(lambda head: replace(head, requested_by=None))

    def begin_yielding(self) -> None:
        """From now on nothing is acknowledged, whatever HEAD says."""
        self._yielding = True

    def fenced(self) -> None:
        """Give up the writer's part: another instance took it, as the journal's seal says."""
        if self._epoch is not None:
            self.stand_by()
            self.on_fenced()

    def stand_by(self) -> None:
        """Give up the writer's part after `release`."""
        self._epoch = None
        self._fresh_until = float("-inf")
        self._pending = None

    async def _refresh(self) -> None:
        """Read HEAD, once for all the writes that wait for it: with the store down each would wait out its deadline."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        error = await asyncio.shield(self._reading)
        self.writing_epoch()
        if error is None and self._clock() >= self._fresh_until:
            raise Refused("another instance asks to take over", retry_after=1)
        if isinstance(error, StoreError) and self._outage == "accept":
            self.unconfirmed_count += 1
        elif error is not None:
            raise Refused(f"the bucket cannot be asked who writes: {error.message}", retry_after=5) from error

    async def _read(self) -> RuntimeFailure | None:
        if self._failure is not None:  # it is looked again on a schedule; no write waits for a store known to fail
            return self._failure
        try:
            await self.look_briefly()
        except (StoreError, IntegrityError) as error:
            return error
        return None

    async def _change(self, change: Callable[[Head], Head]) -> None:
        """Change HEAD as long as it is ours, merging with what others asked for meanwhile."""
        async with self._swapping:
            for _ in range(_MOST_SWAPS):
                if self._epoch is None or self.seen is None:
                    raise NotTheWriter("this instance is not the writer any more")
                sent = self._clock()
                state = self.seen
                try:
                    changed = await self.repository.swap_head(change(state.head), state.generation)
                except Superseded as superseded:
                    # What was found was read after `sent`: noting the earlier time only shortens the freshness.
                    self._note(superseded.found, sent)
                else:
                    self._note(changed, sent, own_change=True)
                    return
            raise StoreError(f"HEAD in {self.repository} changed {_MOST_SWAPS} times while it was being changed")

    def _claimed(self, state: HeadState, sent: float) -> None:
        self._epoch = state.head.epoch
        self._yielding = False
        self._pending = None
        self._note(state, sent, own_change=True)

    def _note(self, found: HeadState | None, sent: float, *, own_change: bool = False) -> None:
        """Take note of HEAD: fence ourselves, or know how long it may be relied on.

        Reading a HEAD that holds a request adds nothing: whoever asked may claim once HEAD has not changed for a
        whole time-out. A change of our own does, since it makes them start counting again.
        """
        if self.seen is not None and found is not None and found.generation < self.seen.generation:
            return
        self.seen = found
        self._failure = None
        if self._epoch is None:
            return
        ours = found is not None and found.head.holder == self.instance and found.head.epoch == self._epoch
        if not ours:
            self.fenced()
        elif own_change or self.request is None:
            self._fresh_until = max(self._fresh_until, sent + self._timeout / 2)
