"""Qdrant's write-ahead log as files: where it ends, and an empty one that starts at a given operation.

The engine writes and replays the log itself. It only does not say how far it is, and a stream must carry
an empty log at the right position: an operation numbered lower than a point's version would be dropped in
silence.
"""

import secrets
import struct
from pathlib import Path

import google_crc32c

_MAGIC = b"wal\x00"
_EMPTY_BYTES = 2 * 1024 * 1024


def next_operation(folder: Path) -> int:
    """Answer the number that the log in `folder` will give to the next operation."""
    closed = sorted((int(path.name.removeprefix("closed-")), path) for path in folder.glob("closed-*"))
    end = 0
    for start, path in closed:
        end = start + _entries(path)
    return end + sum(_entries(path) for path in folder.glob("open-*"))


def write_empty(folder: Path, operation: int) -> Path:
    """Write an empty log whose next operation is `operation`; answer its only file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"closed-{operation}"
    with path.open("wb") as file:
        file.write(_MAGIC + secrets.token_bytes(4))
        file.truncate(_EMPTY_BYTES)
    return path


def _entries(path: Path) -> int:
    count = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        magic, seed = struct.unpack("<4sI", file.read(8))
        if magic != _MAGIC:
            return 0
        while file.tell() + 12 < size:
            header = file.read(8)
            (length,) = struct.unpack("<Q", header)
            padded = length + (4 - length) % 8
            if length == 0 or file.tell() + padded + 4 > size:
                break
            data = file.read(padded)
            crc = google_crc32c.extend(~_reversed(seed) & 0xFFFFFFFF, header + data)
            if struct.pack("<I", crc) != file.read(4):
                break
            seed = crc
            count += 1
    return count


def _reversed(value: int) -> int:
    return int(f"{value:032b}"[::-1], 2)
