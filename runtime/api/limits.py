"""How much the control routes take on: so many requests at once, so many a second.

Owns the counting. Every one of them may read the bucket or stream the engine; none may do so without end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_AT_ONCE: Final = 8
_BURST: Final = 40
_A_SECOND: Final = 10.0


class TooMany(Exception):
    """Come back in a second."""


class Limits:
    """A place for each request, out of a bounded number that fills up again with time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy = 0
        self._left = float(_BURST)
        self._at = clock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises TooMany when there is none."""
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._at) * _A_SECOND)
        self._at = now
        if self._busy >= _AT_ONCE or self._left < 1:
            raise TooMany
        self._left -= 1
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
