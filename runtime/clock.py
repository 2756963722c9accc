"""The clock that decides whether somebody else is still alive.

Owns that choice.
"""

import time


def suspended_clock() -> float:
    """Return seconds that go on while the machine is suspended, which the monotonic clock does not promise."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
