"""A standby becomes the writer because it was sent a write.

Owns that there is one attempt at a time, and how long a write waits for it. How a turn is taken is
`runtime.handover`'s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from runtime.edge.gate import Refused
from runtime.errors import IntegrityError, RuntimeFailure, StoreError
from runtime.handover import Declined
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.repository.repository import Superseded

log = get_logger()

# A write that reaches a standby waits this long for the hand-over before it is refused.
_WRITE_WAITS_SECONDS = 5.0
_LONGEST_TURN_SECONDS = 300.0


class Promotion:
    """One instance's attempts; `take` is one of them, from asking for the lineage to the open gate."""

    def __init__(self, lineage: Lineage, take: Callable[[], Awaitable[None]]) -> None:
        self._lineage = lineage
        self._take = take
        self._attempt: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt has not ended yet."""
        return self._attempt is not None and not self._attempt.done()

    def cancel(self) -> None:
        """Give up: it would claim, and open, on the way out."""
        if self._attempt is not None:
            self._attempt.cancel()

    async def wait(self) -> None:
        """Wait for the attempt under way, or for one that is begun here. Raises Refused when it did not succeed."""
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self._try())
            self._attempt.add_done_callback(_noted)
            with contextlib.suppress(StoreError, IntegrityError):  # the attempt itself will say so
                await self._lineage.look()
        asked = self._lineage.request
        if asked is not None and asked.reason == "start":
            # The traffic is about to go there; what is held here would only be late.
            raise Refused("another instance is starting and takes over", retry_after=1)
        try:
            async with asyncio.timeout(_WRITE_WAITS_SECONDS):
                await asyncio.shield(self._attempt)
        except TimeoutError:
            raise Refused("another instance writes; it was asked to hand over", retry_after=1) from None
        except Declined:
            raise Refused("another instance writes and has writes itself", retry_after=1) from None
        except (RuntimeFailure, Superseded) as error:
            raise Refused(f"this instance could not take over: {error}", retry_after=2) from error

    async def _try(self) -> None:
        async with asyncio.timeout(_LONGEST_TURN_SECONDS):
            await self._take()


def _noted(attempt: asyncio.Task[None]) -> None:
    """Take note of how an attempt ended: whoever waited for it may have given up."""
    if not attempt.cancelled() and (error := attempt.exception()) is not None:
        log.info("handover.not_taken", message=f"Did not become the writer: {error!r}")
