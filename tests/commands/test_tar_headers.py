import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.tar import END_OF_ARCHIVE, Member, TarStream, padding
from runtime.tar_headers import header

PAGE = 4096

# Runs of data and hole, in pages, in turn; a file may begin with either.
layouts = st.tuples(st.booleans(), st.lists(st.integers(1, 3), min_size=1, max_size=60))


def extents_of(layout: tuple[bool, list[int]]) -> tuple[list[tuple[int, int]], int]:
    """Return a layout's extents of data and its size."""
    is_data, runs = layout
    found, position = [], 0
    for run in runs:
        if is_data:
            found.append((position, run * PAGE))
        position += run * PAGE
        is_data = not is_data
    return found, position


def archive(path: str, extents: list[tuple[int, int]], size: int) -> tuple[bytes, bytes]:
    """Return an archive of one file, and what the file reads as."""
    content = bytearray(size)
    stored = b""
    for number, (offset, length) in enumerate(extents):
        data = bytes([number % 255 + 1]) * length
        content[offset : offset + length] = data
        stored += data
    blocks = header(path, size=size, extents=extents, mtime=1_700_000_000)
    return blocks + stored + b"\0" * padding(len(stored)) + END_OF_ARCHIVE, bytes(content)


@given(layouts, st.sampled_from(["short", "folder/" * 30 + "long", "ünïcode"]))
def test_a_file_with_holes_is_read_back_by_others_and_by_us(layout: tuple[bool, list[int]], path: str) -> None:
    """Whatever the pattern of holes: Python's tarfile gives the content, our reader the same map."""
    extents, size = extents_of(layout)
    data, content = archive(path, extents, size)

    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        (member,) = opened.getmembers()
        file = opened.extractfile(member)
        assert file is not None
        assert (member.name, member.size, file.read()) == (path, size, content)
    (ours,) = _members(data)
    holes, position = [], 0
    for offset, length in [*extents, (size, 0)]:
        if offset > position:
            holes.append((position, offset - position))
        position = offset + length
    assert (ours.path, ours.size, ours.holes) == (path, size, tuple(holes))


def _members(data: bytes) -> list[Member]:
    """Read an archive to its end."""
    return list(TarStream(io.BytesIO(data)))


@pytest.mark.parametrize("runs", [1, 3, 4, 5, 40])
def test_a_map_adds_up_to_the_size_also_when_the_file_ends_with_a_hole(runs: int) -> None:
    """Qdrant refuses a map that does not: it ends with an empty extent at the file's end."""
    extents, size = extents_of((True, [1, 1] * runs))
    blocks = header("page", size=size, extents=extents, mtime=0)

    assert b"%011o\0%011o\0" % (size, 0) in blocks
    assert len(blocks) % 512 == 0


@pytest.mark.parametrize("size", [0, 1, 511, 512, 9 << 30])
def test_a_file_without_holes_is_a_plain_member(size: int) -> None:
    """Sizes beyond eight gibibytes included, which do not fit into octal digits."""
    blocks = header("wal/open-1", size=size, extents=[(0, size)] if size else [], mtime=0)

    assert tarfile.TarInfo.frombuf(blocks, "utf-8", "strict").size == size
    assert blocks[156:157] == tarfile.REGTYPE


def test_a_huge_file_of_one_hole_keeps_its_size() -> None:
    """Nothing is stored of it."""
    size = 9 << 30
    (member,) = _members(header("page", size=size, extents=[], mtime=0) + END_OF_ARCHIVE)

    assert (member.size, member.stored, member.holes) == (size, 0, ((0, size),))
