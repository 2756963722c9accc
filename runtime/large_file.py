"""A large file of a backup: fetched in several ranges at once, hashed in order behind them.

Owns its pieces and the check of the whole. One stream from a bucket is a fraction of what a machine can take, and a
hash is a sequence: so pieces are written where they belong as they come, and read back from memory for the hash.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterator

from runtime.errors import IntegrityError
from runtime.repository.repository import Repository
from runtime.run_sink import Progress, Target, explained
from runtime.write_size import WRITE_BYTES

PIECE_BYTES = 16 * 1024 * 1024
_READ_BYTES = 256 * 1024  # stays in the processor's cache until it is hashed


def is_large(target: Target) -> bool:
    """Whether a file comes in pieces; one with holes comes whole, its stored bytes are not where they belong."""
    return target.entry.stored > 2 * PIECE_BYTES and not target.entry.holes


class LargeFile:
    """One file: all of `pieces` are to be fetched, in any order, while `check` runs."""

    def __init__(self, target: Target, progress: Progress) -> None:
        self._path = target.path
        self._entry = target.entry
        self._progress = progress
        self._arrived = [asyncio.Event() for _ in range(0, target.entry.size, PIECE_BYTES)]

    def pieces(self) -> Iterator["Piece"]:
        """Yield what is to be fetched."""
        for number, arrived in enumerate(self._arrived):
            yield Piece(Target(self._path, self._entry), number * PIECE_BYTES, arrived, self._progress)

    async def check(self) -> None:
        """Hash the pieces as they arrive. Raises IntegrityError when the file is not what the manifest says."""
        digest = hashlib.sha256()
        for number, arrived in enumerate(self._arrived):
            await arrived.wait()
            await asyncio.to_thread(self._hash, digest, number * PIECE_BYTES)
        if digest.hexdigest() != self._entry.sha256:
            raise IntegrityError(
                f"{self._entry.pack} is damaged: {self._path.name} at {self._entry.offset} has a wrong hash"
            )
        self._progress.files_done += 1
        self._progress.on_change()

    def _hash(self, digest: "hashlib._Hash", start: int) -> None:
        buffer = memoryview(bytearray(_READ_BYTES))
        left = min(PIECE_BYTES, self._entry.size - start)
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            while left:
                count = file.readinto(buffer[: min(_READ_BYTES, left)])
                if not count:
                    return  # the hash will be wrong
                digest.update(buffer[:count])
                left -= count


class Piece:
    """A range of a large file, and the sink that takes it."""

    def __init__(self, target: Target, start: int, arrived: asyncio.Event, progress: Progress) -> None:
        self._target = target
        self._start = self._position = start
        self._arrived = arrived
        self._progress = progress
        self._descriptor = -1

    async def fetch(self, repository: Repository) -> None:
        """Fetch it. Raises IntegrityError, StoreError."""
        entry = self._target.entry
        with explained(self._target.path):
            self._target.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._target.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            length = min(PIECE_BYTES, entry.size - self._start)
            await repository.read_range(entry.pack, entry.offset + self._start, length, self)
        finally:
            os.close(self._descriptor)
        self._arrived.set()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the range."""
        view = memoryview(data)
        while view:
            with explained(self._target.path):
                written = os.pwrite(self._descriptor, view[:WRITE_BYTES], self._position)
            self._position += written
            self._progress.bytes_done += written
            view = view[written:]
