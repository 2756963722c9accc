"""Tar archives made block by block: as GNU tar writes sparse files and long names, or as it never would."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from runtime.tar import BLOCK, END_OF_ARCHIVE

FILE, OLD_FILE, DIRECTORY, SPARSE, LONG_NAME = b"0", b"\0", b"5", b"S", b"L"

Extent = tuple[int, int]


def padded(data: bytes) -> bytes:
    """Return the bytes, filled up to a whole block."""
    return data + bytes(-len(data) % BLOCK)


def octal(value: int, width: int = 12) -> bytes:
    """Return a number as a header field holds it."""
    return f"{value:0{width - 1}o}\0".encode()


def base256(value: int, width: int = 12) -> bytes:
    """Return a number as GNU tar writes those that are too large, or negative."""
    sign = b"\xff" if value < 0 else b"\x80"
    return sign + value.to_bytes(width - 1, "big", signed=value < 0)


def sealed(block: bytearray) -> bytes:
    """Return a header with its checksum."""
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def header(name: bytes, kind: bytes = FILE, size: bytes | int = 0) -> bytearray:
    """Return a GNU header without its checksum; `size` may be a raw field."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = size if isinstance(size, bytes) else octal(size)
    block[136:148] = octal(0)
    block[156:157] = kind
    block[257:265] = b"ustar  \0"
    return block


def named(name: str, block: bytearray) -> bytes:
    """Return a header for a name of any length: one that does not fit comes before it, in a member of its own."""
    raw = name.encode(errors="surrogateescape")
    block[:100] = raw[:100].ljust(100, b"\0")
    if len(raw) <= 100:
        return sealed(block)
    return sealed(header(b"././@LongLink", LONG_NAME, len(raw) + 1)) + padded(raw + b"\0") + sealed(block)


def plain(name: str, data: bytes, *, kind: bytes = FILE) -> bytes:
    """Return a file without holes."""
    return named(name, header(b"", kind, len(data))) + padded(data)


def directory(name: str) -> bytes:
    """Return a directory."""
    return named(name, header(b"", DIRECTORY))


def sparse(
    name: str,
    size: bytes | int,
    extents: Sequence[tuple[bytes | int, bytes | int]],
    data: bytes,
    *,
    stored: bytes | int | None = None,
) -> bytes:
    """Return a sparse file in the old GNU form; every number may be a raw field, and a lie."""
    fields = [value if isinstance(value, bytes) else octal(value) for extent in extents for value in extent]
    block = header(b"", SPARSE, len(data) if stored is None else stored)
    block[386:482] = b"".join(fields[:8]).ljust(96, b"\0")
    block[482] = len(fields) > 8
    block[483:495] = size if isinstance(size, bytes) else octal(size)
    extensions = []
    for start in range(8, len(fields), 42):
        extension = b"".join(fields[start : start + 42]).ljust(BLOCK, b"\0")
        extensions.append(extension[:504] + bytes([len(fields) > start + 42]) + extension[505:])
    return named(name, block) + b"".join(extensions) + padded(data)


def archive(*members: bytes) -> bytes:
    """Return an archive with its end."""
    return b"".join(members) + END_OF_ARCHIVE


@dataclass(frozen=True)
class Content:
    """A file as a file system sees it: runs of data, each behind a hole (maybe of no length), and a last hole."""

    runs: tuple[tuple[int, bytes], ...] = ()
    last_hole: int = 0
    is_sparse: bool = field(default=False)

    @property
    def stored(self) -> bytes:
        """Return what is kept of it."""
        return b"".join(data for _, data in self.runs)

    @property
    def extents(self) -> list[Extent]:
        """Return where its data lies."""
        found, position = [], 0
        for hole, data in self.runs:
            found.append((position + hole, len(data)))
            position += hole + len(data)
        return found

    @property
    def size(self) -> int:
        """Return its size in the file system."""
        return sum(hole + len(data) for hole, data in self.runs) + self.last_hole

    @property
    def holes(self) -> tuple[Extent, ...]:
        """Return where it has none."""
        found, position = [], 0
        for offset, length in [*self.extents, (self.size, 0)]:
            if offset > position:
                found.append((position, offset - position))
            position = offset + length
        return tuple(found)

    @property
    def sha256(self) -> str:
        """Return the hash of what is kept of it."""
        return hashlib.sha256(self.stored).hexdigest()

    def read(self) -> bytes:
        """Return what a program reads from it."""
        return b"".join(bytes(hole) + data for hole, data in self.runs) + bytes(self.last_hole)

    def member(self, name: str) -> bytes:
        """Return it as a member of an archive."""
        if not self.is_sparse:
            return plain(name, self.stored)
        return sparse(name, self.size, [*self.extents, (self.size, 0)], self.stored)


def whole(data: bytes) -> Content:
    """Return a file without holes."""
    return Content(((0, data),))


def pack_of(files: Iterable[tuple[str, Content]]) -> bytes:
    """Return the archive of some files."""
    return archive(*(content.member(name) for name, content in files))


_PART = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=60
).filter(lambda part: part not in {".", ".."} and len(part.encode()) <= 200)

PATHS = st.lists(_PART, min_size=1, max_size=6).map("/".join)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Draw a file, with and without holes."""
    data = st.binary(max_size=1500)
    if draw(st.booleans()):
        return whole(draw(data))
    hole = st.integers(0, 4000)
    runs = draw(st.lists(st.tuples(hole, st.binary(max_size=700)), max_size=draw(st.sampled_from([0, 3, 5, 30]))))
    return Content(tuple(runs), draw(hole), is_sparse=True)


def trees(*, max_size: int = 8) -> st.SearchStrategy[dict[str, Content]]:
    """Draw files by path, none of which is below another."""

    def apart(files: dict[str, Content]) -> bool:
        """Whether no file is where another needs a directory."""
        return not any(other.startswith(f"{path}/") for path in files for other in files)

    return st.dictionaries(PATHS, contents(), max_size=max_size).filter(apart)
