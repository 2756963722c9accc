import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.tar import TarStream
from tests.support import tars
from tests.support.sources import DribblingSource

RECORDED = sorted((Path(__file__).parents[1] / "fixtures").glob("*/streams/*.tar")) + sorted(
    (Path(__file__).parents[1] / "fixtures").glob("*/streams/*.snapshot")
)

Read = tuple[str, bool, int, tuple[tars.Extent, ...], bytes]


def read(data: bytes, step: int = 1 << 30) -> list[Read]:
    """Return everything that the reader says of an archive."""
    stream = TarStream(DribblingSource(data, step))
    return [(m.path, m.is_file, m.size, m.holes, b"".join(stream.data())) for m in stream]


def content(size: int, holes: tuple[tars.Extent, ...], stored: bytes) -> bytes:
    """Return what a program reads from a file that was stored without its holes."""
    result, position = bytearray(), 0
    for start, length in holes:
        result += stored[: start - position] + bytes(length)
        stored = stored[start - position :]
        position = start + length
    result += stored
    assert len(result) == size
    return bytes(result)


def by_python(data: bytes) -> Iterator[tuple[str, bool, int, bytes]]:
    """Yield what Python's own reader says of an archive, every file as a program reads it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            yield member.name, member.isfile(), member.size, file.read() if file else b""


def stored_by_python(data: bytes) -> Iterator[tuple[str, bool, int, bytes]]:
    """Yield what Python's own reader says is stored in an archive: what lies outside the holes."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file, stored = archive.extractfile(member), b""
            extents: Any = member.sparse or [(0, member.size)]
            for offset, length in extents:
                if file is not None:
                    file.seek(offset)
                    stored += file.read(length)
            yield member.name, member.isfile(), member.size, stored


def refused(data: bytes) -> str:
    """Return why the reader refuses an archive; anything but IntegrityError fails the test."""
    with pytest.raises(IntegrityError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_a_recorded_stream_reads_as_python_reads_it(path: Path) -> None:
    """Names, kinds, sizes and every stored byte of a real server's streams agree with tarfile."""
    data = path.read_bytes()
    ours = read(data)
    assert [(name, is_file, size, stored) for name, is_file, size, _, stored in ours] == list(stored_by_python(data))
    assert any(holes for _, _, _, holes, _ in ours)


def test_a_recorded_stream_with_its_holes_filled_in_reads_as_python_reads_it() -> None:
    """Holes are where tarfile reads zeros, and nowhere else."""
    data = next(path for path in RECORDED if path.name == "empty-full.tar").read_bytes()
    ours = [(name, is_file, size, content(size, holes, stored)) for name, is_file, size, holes, stored in read(data)]
    assert ours == list(by_python(data))


def test_there_are_recorded_streams() -> None:
    """The comparison with tarfile has something to compare."""
    assert len(RECORDED) >= 7


@given(files=tars.trees(), folders=st.lists(tars.PATHS, max_size=3), step=st.integers(1, 5000), random=st.randoms())
def test_any_archive_reads_as_it_was_written(
    files: dict[str, tars.Content], folders: list[str], step: int, random: st.DataObject
) -> None:
    """Whatever the order, the names' length and the holes, and however few bytes come at a time."""
    members: list[tuple[bytes, Read]] = [
        (file.member(name), (name, True, file.size, file.holes, file.stored)) for name, file in files.items()
    ] + [(tars.directory(name + "/"), (name, False, 0, (), b"")) for name in folders]
    random.shuffle(members)  # type: ignore[attr-defined]
    data = tars.archive(*(member for member, _ in members))
    assert read(data, step) == [expected for _, expected in members]
    filled = [(name, is_file, content(size, holes, stored)) for _, (name, is_file, size, holes, stored) in members]
    assert [(name, is_file, data) for name, is_file, _, data in by_python(data)] == filled


@given(files=tars.trees(max_size=4))
def test_what_python_writes_is_read(files: dict[str, tars.Content]) -> None:
    """An archive from another writer of the same format reads back."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, file in files.items():
            member = tarfile.TarInfo(name)
            member.size = file.size
            archive.addfile(member, io.BytesIO(file.read()))
    expected = [(name, True, file.size, (), file.read()) for name, file in files.items()]
    assert read(buffer.getvalue()) == expected


def test_data_that_nobody_reads_is_skipped() -> None:
    """A member's data may be left alone, or left half way; the next member follows."""
    data = tars.archive(tars.plain("a", b"1" * 3_000_000), tars.plain("b", b"22"))
    stream = TarStream(DribblingSource(data, 700_000))
    members = iter(stream)
    assert next(members).path == "a"
    assert len(next(stream.data())) == 700_000
    assert next(members).path == "b"
    assert list(stream.data()) == [b"22"]
    assert next(members, None) is None


def test_the_header_is_every_block_as_received() -> None:
    """A member can be passed on: its header's raw blocks, long name and extended map included."""
    extents = [(index * 10, 5) for index in range(60)]
    member = tars.sparse("n" * 300, 1000, extents, b"x" * 300)
    stream = TarStream(io.BytesIO(tars.archive(member)))
    found = next(iter(stream))
    assert found.header + b"".join(stream.data()) == member[: len(found.header) + 300]
    assert len(found.header) == len(member) - 512


HOSTILE = {
    "an absolute path": tars.plain("/etc/passwd", b"x"),
    "a path upwards": tars.plain("../x", b"x"),
    "a path upwards in the middle": tars.plain("a/../../x", b"x"),
    "a directory upwards": tars.directory("a/.."),
    "a long absolute path": tars.plain("/" + "a" * 200, b"x"),
    "a long path upwards": tars.plain("a" * 200 + "/../../../x", b"x"),
    "an old file that ends like a directory, with data": tars.plain("a/", b"x", kind=tars.OLD_FILE),
    "a long name that ends like a directory": tars.plain("a" * 200 + "/", b"x"),
    "no name": tars.plain("", b"x"),
    "the root as a file": tars.plain(".", b"x"),
    "a file that ends like a directory": tars.plain("a/", b"x"),
    "an old file that ends like a directory": tars.plain("a/", b"", kind=tars.OLD_FILE),
    "a hard link": tars.named("a", tars.header(b"", b"1")),
    "a symbolic link": tars.named("a", tars.header(b"", b"2")),
    "a character device": tars.named("a", tars.header(b"", b"3")),
    "a block device": tars.named("a", tars.header(b"", b"4")),
    "a directory with data": tars.named("a", tars.header(b"", tars.DIRECTORY, 3)) + tars.padded(b"abc"),
    "a fifo": tars.named("a", tars.header(b"", b"6")),
    "a contiguous file": tars.plain("a", b"x", kind=b"7"),
    "a pax header": tars.plain("a", b"11 path=/x\n", kind=b"x"),
    "a global pax header": tars.plain("a", b"11 path=/x\n", kind=b"g"),
    "a long link name": tars.plain("a", b"x", kind=b"K"),
    "two long names": tars.sealed(tars.header(b"", tars.LONG_NAME, 3)) * 2 + tars.plain("a", b"x"),
    "a long name of nothing": tars.sealed(tars.header(b"", tars.LONG_NAME, 0)) + tars.plain("a", b"x"),
    "a long name of zeros": tars.sealed(tars.header(b"", tars.LONG_NAME, 9)) + bytes(512) + tars.plain("a", b"x"),
    "a long name with a zero": tars.sealed(tars.header(b"", tars.LONG_NAME, 4))
    + tars.padded(b"a\0b\0")
    + tars.plain("a", b"x"),
    "a name beyond every path": tars.plain("a/" * 3000 + "b", b"x"),
    "a name of 2^60 bytes": tars.sealed(tars.header(b"", tars.LONG_NAME, tars.base256(2**60))),
    "a name of negative length": tars.sealed(tars.header(b"", tars.LONG_NAME, tars.base256(-5))),
    "a negative size": tars.named("a", tars.header(b"", tars.FILE, tars.base256(-512))),
    "a size of 2^60": tars.named("a", tars.header(b"", tars.FILE, tars.base256(2**60))),
    "a signed octal size": tars.named("a", tars.header(b"", tars.FILE, b"-0000000777\0")),
    "a size of letters": tars.named("a", tars.header(b"", tars.FILE, b"abcdefghijk\0")),
    "a size of other bytes": tars.named("a", tars.header(b"", tars.FILE, b"\xc3\xa9000000000")),
    "a sparse bomb of nothing": tars.sparse("a", tars.base256(2**60), [], b""),
    "a sparse bomb of a byte": tars.sparse("a", tars.base256(2**60), [(0, 1)], b"x"),
    "a negative real size": tars.sparse("a", tars.base256(-1), [], b""),
    "a real size of letters": tars.sparse("a", b"abcdefghijk\0", [], b""),
    "overlapping extents": tars.sparse("a", 100, [(0, 10), (5, 10)], b"x" * 20),
    "unsorted extents": tars.sparse("a", 100, [(50, 10), (0, 10)], b"x" * 20),
    "an extent beyond the end": tars.sparse("a", 100, [(95, 10)], b"x" * 10),
    "an extent after the end": tars.sparse("a", 100, [(2000, 10)], b"x" * 10),
    "a negative offset": tars.sparse("a", 100, [(tars.base256(-10), 10)], b"x" * 10),
    "a negative length": tars.sparse("a", 100, [(0, 20), (20, tars.base256(-10))], b"x" * 10),
    "an offset of letters": tars.sparse("a", 100, [(b"abcdefghijk\0", 10)], b"x" * 10),
    "a map of more than is stored": tars.sparse("a", 100, [(0, 10)], b"x" * 5),
    "a map of less than is stored": tars.sparse("a", 100, [(0, 10)], b"x" * 15),
    "a sparse file that stores 2^60": tars.sparse("a", 100, [(0, 10)], b"", stored=tars.base256(2**60)),
    "a map of too many extents": tars.sparse("a", 10**9, [(i, 1) for i in range(0, 240_000, 2)], b"x" * 120_000),
}


@pytest.mark.parametrize("member", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_member_is_refused(member: bytes) -> None:
    """What leads outside, is no file, or lies about a size never gets past the reader."""
    refused(tars.archive(tars.plain("before", b"x"), member, tars.plain("after", b"y")))


def test_a_map_without_end_is_refused_in_bounded_memory() -> None:
    """A sparse map that says `more follows` for ever is given up, not collected."""
    block = tars.header(b"a", tars.SPARSE, 0)
    block[482] = 1
    extension = b"".join(tars.octal(number) for number in range(42)) + b"\1" + bytes(7)
    assert "extents" in refused(tars.sealed(block) + extension * 10_000)


SMALL = tars.archive(
    tars.directory("d/"),
    tars.plain("d/a", b"x" * 700),
    tars.plain("n" * 120, b"y"),
    tars.sparse("s", 5000, [(index * 100, 10) for index in range(30)], b"z" * 300),
    tars.plain("empty", b""),
)


def test_an_archive_cut_anywhere_is_refused() -> None:
    """Every proper prefix of an archive, at a block's edge or not, is an IntegrityError and nothing else."""
    assert len(read(SMALL)) == 5
    for length in range(len(SMALL)):
        refused(SMALL[:length])


def test_an_archive_that_goes_on_after_one_end_block_is_refused() -> None:
    """Half an end is no end."""
    refused(SMALL[:-512] + tars.plain("more", b"x"))


@given(position=st.integers(0, len(SMALL) - 1), value=st.integers(0, 255))
def test_a_wrong_byte_is_refused_or_seen(position: int, value: int) -> None:
    """Any byte may be changed: the reader refuses, or reads on and differs, and raises nothing else."""
    changed = SMALL[:position] + bytes([value]) + SMALL[position + 1 :]
    try:
        found = read(changed)
    except IntegrityError:
        return
    assert len(found) == len(read(SMALL))


@given(data=st.binary(min_size=1, max_size=2000))
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """Bytes that are no tar are an IntegrityError."""
    refused(data)
