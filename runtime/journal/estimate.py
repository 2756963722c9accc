"""How long it would take to do again what was recorded since a backup.

Owns the estimate: so much a record and so much a byte, scaled by what the last replay in this process really took.
"""

from typing import Final

from runtime.journal.replay import Replayed
from runtime.journal.writer import Load

# Small batches of points on two cores: measured ones are below, an estimate that is too high costs a backup earlier.
_SECONDS_PER_RECORD: Final = 0.001
_BYTES_PER_SECOND: Final = 20e6
# What starting costs hides the rate of a shorter one.
_SHORTEST_SECONDS: Final = 0.5


class Estimate:
    """Of one engine. `scale` is 1 until a replay was seen."""

    def __init__(self) -> None:
        self.scale = 1.0

    def learn(self, replayed: Replayed) -> None:
        """Take note of a replay that has ended."""
        expected = _plain(Load(replayed.records_done, replayed.bytes))
        if replayed.seconds >= _SHORTEST_SECONDS and expected:
            self.scale = replayed.seconds / expected

    def seconds(self, load: Load) -> float:
        """Return how long doing this again would take."""
        return self.scale * _plain(load)


def _plain(load: Load) -> float:
    return load.records * _SECONDS_PER_RECORD + load.bytes / _BYTES_PER_SECOND
