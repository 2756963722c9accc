"""How many bytes of writes wait in memory at once.

Owns the bound: beyond it whoever sends has to wait, and not for ever.
"""

import asyncio
from collections import deque
from typing import Final

from runtime.edge.gate import Refused

_LONGEST_WAIT_SECONDS: Final = 10.0


class Budget:
    """Bytes to take and to give back. Not more than `most` are taken, but for one taker alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Take so many bytes, when others have given theirs back. Raises Refused when that takes too long."""
        if not self._waiting and self._fits(size):
            self.taken += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await turn
        except TimeoutError:
            self._withdraw(size, turn)
            raise Refused("more is being written than the bucket takes", retry_after=2) from None
        except asyncio.CancelledError:
            self._withdraw(size, turn)
            raise

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.taken -= size
        self._serve()

    def _withdraw(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.give(size)
        else:
            self._waiting = deque(waiting for waiting in self._waiting if waiting[1] is not turn)
            self._serve()

    def _serve(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.taken += size
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return self.taken == 0 or self.taken + size <= self.most
