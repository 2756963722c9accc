"""What this process has saved so far: the newest backups it made, and sums over all of them.

Owns the remembering, within bounds. Decides nothing; the metrics and the status page read it.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

_MOST_REMEMBERED: Final = 60


@dataclass(frozen=True, slots=True)
class Done:
    """One backup that this process committed. `age_seconds`: how old the oldest write in it was by then."""

    manifest: str
    reason: str
    at: float
    streamed_bytes: int
    packed_bytes: int
    held_seconds: float
    seconds: float
    age_seconds: float


class History:
    """Grows with every backup. `recent` has the newest last; times are of the wall clock, for people."""

    def __init__(self) -> None:
        self.recent: deque[Done] = deque(maxlen=_MOST_REMEMBERED)
        self.commits = 0
        self.streamed_bytes = 0
        self.packed_bytes = 0
        self.held_seconds = 0.0
        self.seconds = 0.0
        self.failures: Counter[str] = Counter()

    def add(self, done: Done) -> None:
        """Note a backup."""
        self.recent.append(done)
        self.commits += 1
        self.streamed_bytes += done.streamed_bytes
        self.packed_bytes += done.packed_bytes
        self.held_seconds += done.held_seconds
        self.seconds += done.seconds
