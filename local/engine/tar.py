"""GNU tar as the real server streams it: long names, holes kept as sparse members, nothing else.

Owns bytes only; which files, in which order, is the capture's decision.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
_CHUNK = 256 * 1024
_IN_HEADER = 4
_IN_EXTENSION = 21


@dataclass(frozen=True)
class Member:
    """One member: its name, and either a file or the bytes themselves; a directory has neither."""

    name: str
    path: Path | None = None
    content: bytes | None = None


def stream(members: list[Member]) -> Iterator[bytes]:
    """Yield the archive of `members`, read as it is consumed, in chunks that are never empty."""
    gathered = bytearray()
    for piece in _pieces(members):
        gathered += piece
        if len(gathered) >= _CHUNK:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _pieces(members: list[Member]) -> Iterator[bytes]:
    for member in members:
        if member.path is not None:
            yield from _file(member.name, member.path)
        elif member.content is not None:
            info = tarfile.TarInfo(member.name)
            info.size = len(member.content)
            yield _header(info) + member.content + _padding(info.size)
        else:
            info = tarfile.TarInfo(member.name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            yield _header(info)
    yield bytes(2 * _BLOCK)


def data_extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """Answer where a file holds data, as (offset, length)."""
    extents = []
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole from here on
            break
        offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        extents.append((start, offset - start))
    return extents


def _file(name: str, path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        extents = data_extents(file.fileno(), status.st_size)
        info = tarfile.TarInfo(name)
        info.mode, info.mtime = status.st_mode, int(status.st_mtime)
        info.size = sum(length for _, length in extents)
        if info.size == status.st_size:
            yield _header(info)
        else:
            if not extents or sum(extents[-1]) < status.st_size:
                extents.append((status.st_size, 0))
            info.type = tarfile.GNUTYPE_SPARSE
            yield _sparse_header(info, extents, status.st_size)
        for offset, length in extents:
            for at in range(offset, offset + length, _CHUNK):
                yield os.pread(file.fileno(), min(_CHUNK, offset + length - at), at)
        yield _padding(info.size)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _octal(value: int) -> bytes:
    return b"%011o\x00" % value


def _sparse_header(info: tarfile.TarInfo, extents: list[tuple[int, int]], size: int) -> bytes:
    packed = _header(info)
    before, header = packed[:-_BLOCK], bytearray(packed[-_BLOCK:])
    entries = [_octal(offset) + _octal(length) for offset, length in extents]
    first, rest = entries[:_IN_HEADER], entries[_IN_HEADER:]
    header[386 : 386 + 24 * len(first)] = b"".join(first)
    header[482] = bool(rest)
    header[483:495] = _octal(size)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    extensions = b""
    while rest:
        part, rest = rest[:_IN_EXTENSION], rest[_IN_EXTENSION:]
        extensions += b"".join(part).ljust(504, b"\x00") + bytes([bool(rest)]) + bytes(7)
    return before + bytes(header) + extensions
