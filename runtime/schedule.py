"""When the next backup is due: after the last write, by the promised age, before a start would take too long.

Owns the waiting. Takes no backup, and knows neither engine nor store.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from runtime.edge.gate import Gate
from runtime.settings import Settings


class Schedule:
    """One writer's. `unsaved_since`: when the oldest write was made that no backup holds, by the loop's clock."""

    def __init__(self, settings: Settings, gate: Gate, *, is_long_to_replay: Callable[[], bool]) -> None:
        self.unsaved_since: float | None = None
        self._settings = settings
        self._gate = gate
        self._is_long_to_replay = is_long_to_replay
        self._takes_seconds = 0.0
        self._wake = asyncio.Event()
        self._replay_is_long = asyncio.Event()

    @property
    def is_resting(self) -> bool:
        """Whether nothing is waited for but a write."""
        return not self._wake.is_set()

    def written(self) -> None:
        """Note that there is something to save."""
        if self.unsaved_since is None:
            self.unsaved_since = asyncio.get_running_loop().time()
        self._wake.set()
        if self._is_long_to_replay():
            self._replay_is_long.set()

    def saved(self, *, left_since: float | None) -> None:
        """Note that a backup holds what was there; `left_since`: when the oldest write was made that it does not."""
        self.unsaved_since = left_since

    def took(self, seconds: float) -> None:
        """Learn how long a backup takes: the next one starts early enough for that."""
        self._takes_seconds = seconds

    def rest(self) -> None:
        """Wait for the next write before anything else."""
        self._wake.clear()

    async def until_due(self) -> None:
        """Wait until a backup is due."""
        while True:
            await self._wake.wait()
            if self.unsaved_since is None:
                self._wake.clear()
                continue
            quiet_at = self._gate.last_write_at + self._settings.backup_quiet_seconds
            wait = min(quiet_at, self.unsaved_since + self._start_within()) - asyncio.get_running_loop().time()
            if wait <= 0 or self._is_long_to_replay():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._replay_is_long.wait()
            self._replay_is_long.clear()

    def is_overdue(self) -> bool:
        """Whether waiting for a better moment would break the promised age."""
        if self.unsaved_since is None:
            return False
        return asyncio.get_running_loop().time() - self.unsaved_since >= self._start_within()

    def _start_within(self) -> float:
        """Return how long after the first unsaved write a backup must start to be committed in time."""
        age = self._settings.backup_max_age_seconds
        return age - min(age / 2, 2 * self._takes_seconds + age / 10)
