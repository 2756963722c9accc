"""The header of a tar member, as Qdrant reads it: GNU format, holes as a GNU sparse map.

Owns the form of what is written; reading is `runtime.tar`. Holes must be kept: a page file of 32 MiB may hold a few
kilobytes, and the disk that a snapshot is unpacked on may be memory.
"""

import itertools
import tarfile
from collections.abc import Iterable

from runtime.tar import BLOCK

_IN_HEADER = 4
_IN_EXTENSION = 21


def header(path: str, *, size: int, extents: Iterable[tuple[int, int]], mtime: int) -> bytes:
    """Return the blocks before a file's data. `extents`: the (offset, length) pairs that follow, without the holes."""
    info = tarfile.TarInfo(path)
    info.mode, info.mtime = 0o644, mtime
    stored = list(extents)
    info.size = sum(length for _, length in stored)
    if info.size == size:
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    info.type = tarfile.GNUTYPE_SPARSE
    blocks = bytearray(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    # A file that ends with a hole says so with an empty extent at its end: readers add up to the real size.
    if not stored or sum(stored[-1]) < size:
        stored.append((size, 0))
    entries = iter(stored)
    start = len(blocks) - BLOCK  # a long name comes before, in blocks of its own
    block = blocks[start:]
    first = b"".join(_entry(*extent) for extent in itertools.islice(entries, _IN_HEADER))
    block[386 : 386 + len(first)] = first
    block[482] = int(len(stored) > _IN_HEADER)
    block[483:495] = _number(size)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(blocks[:start] + block) + _extensions(entries, len(stored) - _IN_HEADER)


def _extensions(entries: Iterable[tuple[int, int]], left: int) -> bytes:
    blocks = b""
    rest = iter(entries)
    while left > 0:
        part = b"".join(_entry(*extent) for extent in itertools.islice(rest, _IN_EXTENSION))
        left -= _IN_EXTENSION
        blocks += (part.ljust(504, b"\0") + bytes([left > 0])).ljust(BLOCK, b"\0")
    return blocks


def _entry(offset: int, length: int) -> bytes:
    return _number(offset) + _number(length)


def _number(value: int) -> bytes:
    return tarfile.itn(value, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined,no-any-return]
