"""After a write that has no answer: no other goes on before a backup holds what it may have done.

Owns that others wait, and the trying until there is such a backup. What is written over something that no journal
tells of could not be done again without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from runtime.edge.effects import Effect, Write
from runtime.edge.gate import Refused
from runtime.journal.turns import Turns
from runtime.journal.writer import Journal
from runtime.logs import get_logger

log = get_logger()

_RETRY_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0


class Settling:
    """At most one at a time. `save` records an opaque change by a name and backs it up; it raises Refused."""

    def __init__(self, journal: Journal, turns: Turns, save: Callable[[str], Awaitable[None]]) -> None:
        self._journal = journal
        self._turns = turns
        self._save = save
        self._task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether others have to wait."""
        return self._task is not None and not self._task.done()

    def begin(self, what: str) -> None:
        """Let no write go to the engine from now on until a backup holds what it holds now."""
        epoch = self._journal.epoch
        if epoch is not None and not self.is_under_way:
            log.warning(
                "journal.unsettled", message=f"{what} has no answer: a backup is taken before other writes go on"
            )
            self._task = asyncio.create_task(self._settle(what, epoch), name="settle")

    def stop(self) -> None:
        """Give up: what the engine holds is not this instance's to save any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def over(self) -> None:
        """Wait until there is nothing to wait for. Raises Refused when that takes too long."""
        if self._task is not None and self.is_under_way:
            await asyncio.wait({self._task}, timeout=_LONGEST_WAIT_SECONDS)
            if self.is_under_way:
                raise Refused("a write has no answer, and could not be backed up yet", retry_after=5)

    async def _settle(self, what: str, epoch: int) -> None:
        while self._journal.epoch == epoch:
            with suppress(Refused):
                async with self._turns.turn(Write(Effect.UNKNOWN), alone=True):
                    await self._save(what)
                    return
            await asyncio.sleep(_RETRY_SECONDS)
