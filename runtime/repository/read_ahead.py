"""A source read in chunks, one being filled while the other is sent.

Owns two buffers and the checksum of all that passed. It pays because a source and a network that are about
equally fast take half the time together. Knows no store.
"""

import functools
from collections.abc import Iterator
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Self

from runtime.repository.checksums import RunningCrc32c
from runtime.repository.store import ByteSource
from runtime.repository.threads import SETTLE_SECONDS, Abort, DaemonThreads

# Two of these per upload, and two uploads at once, stay within 16 MiB, while a chunk is still long enough
# that the wait for each answer (20-50 ms) is a fraction of its transfer. A multiple of 256 KiB, as the
# service demands.
CHUNK_BYTES = 4 << 20
READ_BYTES = 1 << 20


class ReadAhead:
    """The chunks of a source. A context: on leaving it, the source is read no more."""

    def __init__(self, source: ByteSource, abort: Abort, readers: DaemonThreads) -> None:
        self._source = source
        self.passed = RunningCrc32c()
        self._abort = abort
        self._readers = readers
        self._next: Future[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None and not self._next.done():
            self._abort.set()
            wait([self._next], timeout=SETTLE_SECONDS)

    def chunks(self) -> Iterator[tuple[memoryview, bool]]:
        """Yield each chunk and whether it is the last, which alone is not full, and may be empty.

        A chunk is valid until the next one is asked for.

        What the source raises comes out here, and then there is no end.
        """
        filling, sending = bytearray(CHUNK_BYTES), bytearray(CHUNK_BYTES)
        future = self._next = self._readers.submit(functools.partial(self._fill, filling))
        while True:
            count = future.result()
            filling, sending = sending, filling
            last = count < CHUNK_BYTES
            if not last:
                future = self._next = self._readers.submit(functools.partial(self._fill, filling))
            yield memoryview(sending)[:count], last
            if last:
                return

    def drain(self) -> None:
        """Read to the end for the checksum alone."""
        while data := self._source.read(READ_BYTES):
            self._abort.check()
            self.passed.update(data)

    def _fill(self, buffer: bytearray) -> int:
        count = 0
        while count < CHUNK_BYTES:
            data = self._source.read(min(READ_BYTES, CHUNK_BYTES - count))
            self._abort.check()
            if not data:
                break
            self.passed.update(data)
            buffer[count : count + len(data)] = data
            count += len(data)
        return count
