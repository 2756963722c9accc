"""The gate every write passes: counted, held for a backup's barrier, or refused with a reason.

Owns when a write may go on and what has been written since a mark. Knows no transport: `rest` and `rpc`
carry the requests through it. Decides nothing about leadership: `acknowledge` is given to it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.recording import Recorder
from runtime.edge.write_key import WriteKey

_MOST_NAMES = 10_000


class Refused(Exception):
    """A write the gate does not let through; told to the client as 503 in Qdrant's error shape."""

    def __init__(self, reason: str, *, retry_after: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Written:
    """What was written up to one moment, as counts that only grow; two of them can be compared."""

    total: int
    everything: int
    catalog: int
    points: dict[str, int]
    replaced: dict[str, int]


async def _nobody() -> int:
    """Refuse: nobody has said yet who may acknowledge."""
    raise Refused("starting", retry_after=1)


class Gate:
    """Lets writes through, holds them for moments, or refuses them. One per process, one event loop.

    `acknowledge` is awaited before a write goes to the engine and again before its answer goes to the client; it
    returns the epoch this instance writes in, and raises Refused when it may not acknowledge (not the writer, or not
    provably so right now). Where a `recorder` is set, its record takes the place of the second time.
    """

    def __init__(
        self, acknowledge: Callable[[], Awaitable[int]] | None = None, *, hold_limit_seconds: float = 10.0
    ) -> None:
        self.acknowledge = acknowledge or _nobody
        self.recorder: Recorder | None = None
        self.write_key = WriteKey()
        self._hold_limit = hold_limit_seconds
        self._refusal: Refused | None = Refused("starting", retry_after=1)
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0
        self._total = 0
        self._everything = 0
        self._catalog = 0
        self._points: Counter[str] = Counter()
        self._replaced: Counter[str] = Counter()
        self.refused_count = 0
        self.held_count = 0
        self.last_write_at = float("-inf")
        self.on_write: Callable[[], None] = lambda: None

    def refuse(self, reason: str, *, retry_after: int = 1) -> None:
        """Turn writes away from now on, those that wait included. Writes in flight go on."""
        self._refusal = Refused(reason, retry_after=retry_after)
        self._open.set()

    def admit(self) -> None:
        """Let writes through from now on."""
        self._refusal = None

    @property
    def refusal(self) -> str | None:
        """Why writes are refused, or None while they are admitted."""
        return self._refusal.reason if self._refusal else None

    @property
    def in_flight(self) -> int:
        """Writes that were let through and have no answer yet."""
        return self._in_flight

    def written(self) -> Written:
        """Return the counts as they are now."""
        return Written(self._total, self._everything, self._catalog, dict(self._points), dict(self._replaced))

    @asynccontextmanager
    async def held(self, *, drain_seconds: float) -> AsyncIterator[bool]:
        """Hold new writes for the duration of the block and wait for those in flight.

        Yields True when none is in flight any more, False when some still were after `drain_seconds`.
        """
        self._open.clear()
        try:
            yield await self.drained(seconds=drain_seconds)
        finally:
            self._open.set()

    @property
    def is_unsettled(self) -> bool:
        """Whether a write ended without an answer, and nothing says yet which backup holds it if it was done."""
        return self.recorder is not None and self.recorder.is_unsettled

    async def drained(self, *, seconds: float) -> bool:
        """Wait until no write is in flight; False when some still were after `seconds`."""
        # Not `wait_for`: Python 3.11's forgets a cancellation that comes together with what it waits for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return self._idle.is_set()

    async def enter(self) -> None:
        """Wait out a hold, then take a place for one write. Raises Refused; else `leave` must follow."""
        if not self._open.is_set() and self._refusal is None:
            self.held_count += 1
            try:
                async with asyncio.timeout(self._hold_limit):
                    await self._open.wait()
            except TimeoutError:
                self._refuse_now(Refused("a backup is taking its position", retry_after=1))
        self.require_admitted()
        self._in_flight += 1
        self._idle.clear()

    def require_admitted(self) -> None:
        """Raise Refused while writes are turned away."""
        if self._refusal is not None:
            self._refuse_now(Refused(self._refusal.reason, retry_after=self._refusal.retry_after))

    def leave(self, write: Write, outcome: Outcome) -> None:
        """Give the place back and record what the write may have changed."""
        self._record(write, outcome)
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    def note(self, write: Write) -> None:
        """Count a write that went to the engine past the gate, applied: one from the journal."""
        self._record(write, Outcome.APPLIED)

    async def confirm(self, epoch: int | None = None) -> int:
        """Return the epoch in which a write may be acknowledged; raises Refused when it may not.

        Asked again with the epoch of the first answer: an instance that lost the lineage in between and won it back
        has placed its engine afresh, and the write is not in it.
        """
        try:
            now = await self.acknowledge()
        except Refused:
            self.refused_count += 1
            raise
        if epoch is not None and now != epoch:
            self._refuse_now(Refused("the lineage changed hands while the write was under way", retry_after=1))
        return now

    def _refuse_now(self, refusal: Refused) -> None:
        self.refused_count += 1
        raise refusal

    def _record(self, write: Write, outcome: Outcome) -> None:
        if outcome is Outcome.UNTOUCHED or write.effect is Effect.NOTHING:
            return
        changed_anything = True
        refused = outcome in {Outcome.REFUSED, Outcome.DENIED, Outcome.LIMITED}
        match write.effect:
            case Effect.UNKNOWN if refused:
                changed_anything = False
            case Effect.UNKNOWN:
                self._everything += 1
            case _ if self._is_one_name_too_many(write):
                self._everything += 1
            case Effect.CATALOG:
                self._catalog += 1
            case Effect.REPLACE if not refused and write.collection is not None:
                self._replaced[write.collection] += 1
            case Effect.RECOVER if write.collection is not None:
                self._replaced[write.collection] += 1
            case _ if write.collection is not None:
                self._points[write.collection] += 1
            case _:
                self._everything += 1
        if changed_anything:
            self._total += 1
            self.last_write_at = asyncio.get_running_loop().time()
            self.on_write()

    def _is_one_name_too_many(self, write: Write) -> bool:
        """Whether a name is new that there is no room to count apart: names come from clients, memory is bounded."""
        seen = write.collection is None or write.collection in self._points or write.collection in self._replaced
        return not seen and len(self._points) + len(self._replaced) >= _MOST_NAMES
