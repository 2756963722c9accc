"""Bytes that one thread pushes and another pulls: a store's download as the source of what reads.

Owns the bound on what waits in between, and that neither side waits for one that is gone.
"""

import threading
from collections import deque
from collections.abc import Callable

from runtime.errors import RuntimeFailure

_MOST_BYTES = 8 * 1024 * 1024
_SECONDS_WITHOUT_PROGRESS = 120.0


class Pipe:
    """One writer, one reader, each in a thread of its own. Whoever ends early says so with `fail`."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def write(self, data: bytes | memoryview) -> None:
        """Push; waits while too much is waiting. Raises RuntimeFailure when the other side is gone."""
        if not data:
            return
        with self._changed:
            self._wait(lambda: self._waiting < _MOST_BYTES)
            self._chunks.append(bytes(data))
            self._waiting += len(data)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that everything was pushed."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, reason: BaseException) -> None:
        """End both sides: whatever either does next raises. Pushed bytes count for nothing."""
        with self._changed:
            self._failure = self._failure or reason
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        """Pull at most `size` bytes; b'' at the end. Raises RuntimeFailure when the other side failed."""
        with self._changed:
            self._wait(lambda: bool(self._chunks) or self._ended)
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            self._waiting -= len(chunk)
            self._changed.notify_all()
            return chunk

    def _wait(self, ready: Callable[[], bool]) -> None:
        done = self._changed.wait_for(lambda: self._failure is not None or ready(), timeout=_SECONDS_WITHOUT_PROGRESS)
        if self._failure is not None:
            if isinstance(self._failure, RuntimeFailure):
                raise self._failure
            raise RuntimeFailure(f"the other side of the transfer ended: {self._failure!r}")
        if not done:
            raise RuntimeFailure(f"nothing moved for {_SECONDS_WITHOUT_PROGRESS:.0f} s")
