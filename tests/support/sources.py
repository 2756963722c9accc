"""Sources and sinks that behave as a test wants them to."""

import io
import threading


class FailingSource:
    """Gives `good` bytes, then raises what it was given."""

    def __init__(self, good: int, error: BaseException) -> None:
        self._left = good
        self._error = error

    def read(self, size: int) -> bytes:
        """Return the next bytes, or raise once they are used up."""
        if self._left == 0:
            raise self._error
        data = bytes(min(size, self._left))
        self._left -= len(data)
        return data


class HeldSource:
    """Gives `first` bytes, then waits for `release` before it gives the rest and ends."""

    def __init__(self, first: int, rest: int) -> None:
        self._parts = [io.BytesIO(bytes(first)), io.BytesIO(bytes(rest))]
        self.reached = threading.Event()
        self.release = threading.Event()

    def read(self, size: int) -> bytes:
        """Return the next bytes; stands still between first and rest, for at most 20 seconds."""
        if data := self._parts[0].read(size):
            return data
        self.reached.set()
        self.release.wait(20)
        return self._parts[1].read(size)


class DribblingSource:
    """Gives its bytes a few at a time, as a pipe does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int) -> bytes:
        """Return at most `step` bytes."""
        return self._file.read(min(size, self._step))


class Collected:
    """A sink that keeps a copy of all it is given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.data += data
