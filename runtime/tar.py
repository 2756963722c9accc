"""Reading a tar stream member by member, strictly forward, as Qdrant writes it.

Owns the format: ustar and GNU headers, long names, GNU sparse maps, and what of it is accepted. A stream is refused
when it is cut, lies about a size, or holds anything but files and directories below its own root; nothing is
written here, so nothing can be written outside. Keeps no member in memory.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Protocol

from runtime.errors import IntegrityError

BLOCK: Final = 512
CHUNK: Final = 1024 * 1024
END_OF_ARCHIVE: Final = b"\0" * (2 * BLOCK)

# A name longer than Linux's PATH_MAX cannot be placed; a map of more extents than this is no file of Qdrant's.
_LONGEST_NAME = 4096
_MOST_EXTENTS = 100_000
_LARGEST_FILE = 2**40

_FILE, _OLD_FILE, _DIRECTORY, _SPARSE, _LONG_NAME = b"0", b"\0", b"5", b"S", b"L"


class Readable(Protocol):
    """Where the stream comes from; `read` may return fewer bytes than asked for, and b'' at the end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file or directory: its path, its size in the file system, and what of it is stored.

    `holes` are (offset, length) pairs, in order; `stored` is size less holes: the bytes that follow in the stream.
    `header` is every raw block that describes it, as received.
    """

    path: str
    is_file: bool
    size: int
    stored: int
    holes: tuple[tuple[int, int], ...]
    header: bytes


def padding(stored: int) -> int:
    """Return how many zero bytes fill up the last block of `stored` bytes."""
    return -stored % BLOCK


class TarStream:
    """A tar stream, read once: `for member in stream: for chunk in stream.data(): …`.

    Data that was not read is skipped. Raises IntegrityError for anything that is not a whole, harmless archive.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member
            for _ in self.data():
                pass

    def data(self) -> Iterator[bytes]:
        """Yield the current member's stored bytes that were not read yet."""
        while self._left:
            chunk = self._source.read(min(CHUNK, self._left))
            if not chunk:
                raise IntegrityError("the tar stream ends inside a file")
            self._left -= len(chunk)
            yield chunk
        if self._padding:
            self._exactly(self._padding)
            self._padding = 0

    def _next(self) -> Member | None:
        block = self._exactly(BLOCK)
        header, long_name = block, None
        if block == b"\0" * BLOCK:
            if self._exactly(BLOCK) != block:
                raise IntegrityError("the tar stream goes on after its first end block")
            return None
        if block[156:157] == _LONG_NAME:
            length = _number(block[124:136])
            if not 0 < length <= _LONGEST_NAME + 1:
                raise IntegrityError(f"the tar stream names a file with {length} bytes")
            raw = self._exactly(length + padding(length))
            long_name = raw[:length].rstrip(b"\0")
            block = self._exactly(BLOCK)
            header += raw + block
        info = _parse(block)
        path = _harmless(long_name.decode(errors="surrogateescape") if long_name is not None else info.name)
        kind = block[156:157]
        if kind == _DIRECTORY and info.size == 0:
            return Member(path, is_file=False, size=0, stored=0, holes=(), header=header)
        if path == "." or (long_name or block[:100].rstrip(b"\0")).endswith(b"/"):
            raise IntegrityError(f"the tar stream holds {path[:100]!r} as a file, under a directory's name")
        if kind in (_FILE, _OLD_FILE):
            self._expect(info.size)
            return Member(path, is_file=True, size=info.size, stored=info.size, holes=(), header=header)
        if kind == _SPARSE:
            extents, size, extension = self._sparse_map(block)
            holes = _holes(extents, size, info.size, path)
            self._expect(info.size)
            return Member(path, is_file=True, size=size, stored=info.size, holes=holes, header=header + extension)
        raise IntegrityError(f"the tar stream holds {path!r} of type {kind!r}: only files and directories are accepted")

    def _expect(self, stored: int) -> None:
        if not 0 <= stored <= _LARGEST_FILE:
            raise IntegrityError(f"the tar stream holds a file of {stored} bytes")
        self._left, self._padding = stored, padding(stored)

    def _sparse_map(self, block: bytes) -> tuple[list[tuple[int, int]], int, bytes]:
        """Read the map of an old GNU sparse header: four extents in the header, 21 in each block that follows it."""
        size = _number(block[483:495])
        extents = _extents(block[386:482])
        more, extension = block[482], b""
        while more:
            if len(extents) > _MOST_EXTENTS:
                raise IntegrityError(f"the tar stream holds a file of more than {_MOST_EXTENTS} extents")
            block = self._exactly(BLOCK)
            extension += block
            extents += _extents(block[:504])
            more = block[504]
        return extents, size, extension

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise IntegrityError("the tar stream is cut short")
            data += more
        return data


def _parse(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise IntegrityError(f"the stream is not a tar: {error}") from error


def _number(field: bytes) -> int:
    try:
        return int(tarfile.nti(field))  # type: ignore[attr-defined]
    except tarfile.HeaderError as error:
        raise IntegrityError("the tar stream has a number that is none") from error


def _extents(entries: bytes) -> list[tuple[int, int]]:
    """Parse (offset, length) pairs of 12 bytes each; the first unused entry starts with a zero byte."""
    extents = []
    for start in range(0, len(entries) - 23, 24):
        if entries[start] == 0:
            break
        extents.append((_number(entries[start : start + 12]), _number(entries[start + 12 : start + 24])))
    return extents


def _holes(extents: list[tuple[int, int]], size: int, stored: int, path: str) -> tuple[tuple[int, int], ...]:
    """Turn a map of data into a map of holes, refusing one that overlaps, leaves the file or lies about its sum."""
    if not 0 <= size <= _LARGEST_FILE:
        raise IntegrityError(f"the sparse file {path!r} claims {size} bytes")
    holes, end, total = [], 0, 0
    for offset, length in extents:
        if offset < end or length < 0 or offset + length > size:
            raise IntegrityError(f"the sparse file {path!r} has a map that does not fit it")
        if offset > end:
            holes.append((end, offset - end))
        end = offset + length
        total += length
    if end < size:
        holes.append((end, size - end))
    if total != stored:
        raise IntegrityError(f"the sparse file {path!r} maps {total} bytes and stores {stored}")
    return tuple(holes)


def _harmless(name: str) -> str:
    """Return a path that stays below the root, or refuse it."""
    path = PurePosixPath(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts or len(name) > _LONGEST_NAME:
        raise IntegrityError(f"the tar stream holds {name[:100]!r}: not a path below its root")
    return str(path)
