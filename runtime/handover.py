"""Hand-over: the lineage follows the traffic.

Owns how an instance that wants to write waits its turn, brings itself to the newest backup and claims. The writer's
side, yielding, is the supervisor's, since it takes a backup.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.repository.head import Head, Request
from runtime.repository.repository import HeadState, Superseded

log = get_logger()

_POLL_SECONDS = 0.2


class Declined(Exception):
    """The writer has writes of its own and keeps the lineage."""


class Local(Protocol):
    """The local copy, as far as a turn needs one."""

    def holds(self, newest: str | None) -> bool:
        """Whether it is what a lineage restores whose HEAD names `newest`."""

    async def place(self, head: Head) -> object:
        """Bring it to the lineage's newest backup."""

    async def place_nothing(self) -> object:
        """Make it empty."""

    async def start(self) -> None:
        """Start an engine on it, unless one runs, and compare it with the backup."""


class Turn:
    """One attempt of an instance to become the writer; without `restores` it starts empty, as a person decided."""

    def __init__(
        self,
        lineage: Lineage,
        replica: Local,
        *,
        timeout_seconds: float,
        clock: Callable[[], float],
        restores: bool,
    ) -> None:
        self._lineage = lineage
        self._replica = replica
        self._timeout = timeout_seconds
        self._clock = clock
        self._restores = restores
        self.forced = False

    async def take(self, reason: Literal["start", "write"]) -> None:
        """Become the writer, with the engine running on the newest backup.

        Waits for the writer's clean end, or for a whole time-out without a sign of life of it. Claiming comes last:
        a failure before takes nothing from the instance that was serving.
        Raises Declined (reason `write` only), StoreError, IntegrityError, EngineError.
        """
        request = Request(self._lineage.instance, reason)
        asked = False
        observed: tuple[int, float] | None = None
        while True:
            state = await self._lineage.look()
            if state is None:
                raise Superseded(None)
            if observed is None or observed[0] != state.generation:
                observed = (state.generation, self._clock())
            silent = self._clock() - observed[1] >= self._timeout
            head = state.head
            if self._may_claim(head) or (silent and self._was_asked(head)):
                self.forced = not head.clean
                if await self._claim(state):
                    return
                continue
            if head.requested_by == request:
                asked = True
            elif self._should_ask(head, reason):
                if asked and reason == "write" and head.requested_by is None:
                    raise Declined
                await self._ask(state, request)
                continue
            await asyncio.sleep(_POLL_SECONDS)

    def _may_claim(self, head: Head) -> bool:
        """Whether the writer let go, and not for somebody else; or an earlier claim of ours took effect unheard."""
        if head.holder == self._lineage.instance and not head.clean:
            return True
        return head.clean and (head.requested_by is None or head.requested_by.instance == self._lineage.instance)

    def _was_asked(self, head: Head) -> bool:
        """Whether HEAD shows a request that its writer had to answer: silence without one proves nothing."""
        return head.requested_by is not None and head.requested_by.instance != head.holder

    def _should_ask(self, head: Head, reason: str) -> bool:
        """Whether to put our request into HEAD: a starting instance goes before one that was only sent a write.

        Never into a HEAD that was let go, be it for another: that would steal the hand-over. Never in place of
        another's otherwise: the writer might decline ours, and nobody would know that the other still waits.
        """
        if head.clean:
            return False
        return head.requested_by is None or (reason == "start" and head.requested_by.reason == "write")

    async def _ask(self, state: HeadState, request: Request) -> None:
        try:
            await self._lineage.ask(state, request)
        except Superseded:
            return
        log.info("handover.asked", message="Asked the writer to hand over", reason=request.reason)

    async def _claim(self, state: HeadState) -> bool:
        """Bring the engine to HEAD's backup and claim; False when HEAD has changed meanwhile."""
        if not self._restores:
            await self._replica.place_nothing()
        elif not self._replica.holds(state.head.manifest):
            await self._replica.place(state.head)
        await self._replica.start()
        try:
            await self._lineage.claim(state)
        except Superseded:
            return False
        return True
