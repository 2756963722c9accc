import hashlib
import io
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.repository.manifest import FileEntry
from runtime.repository.packs import PackSource
from runtime.tar import Readable, TarStream
from tests.support import tars
from tests.support.sources import DribblingSource
from tests.support.tars import Content

MIB = 1 << 20
Files = dict[str, Content]


def in_place(path: str) -> str | None:
    """Keep every file where it is."""
    return path


def packed(source: PackSource, size: int = MIB) -> bytes:
    """Return the whole pack, read `size` bytes at a time."""
    found = bytearray()
    while data := source.read(size):
        assert len(data) <= size
        found += data
    return bytes(found)


def pack(stream: bytes, known: Mapping[str, FileEntry] | None = None, name: str = "packs/1") -> PackSource:
    """Return the source of a pack of an archive."""
    return PackSource(name, TarStream(io.BytesIO(stream)), in_place, known or {})


def known(files: Files, name: str = "packs/0") -> dict[str, FileEntry]:
    """Return entries of an earlier pack that hold these files."""
    return {path: FileEntry(name, 7, file.size, file.holes, file.sha256) for path, file in files.items()}


@given(files=tars.trees(), step=st.integers(1, 3000), size=st.integers(1, 5000))
def test_a_pack_is_an_archive_of_the_stream_s_files(files: Files, step: int, size: int) -> None:
    """Python's tarfile reads from the pack what was streamed, however few bytes came and were taken at a time."""
    stream = DribblingSource(tars.pack_of(files.items()), step)
    source = PackSource("packs/1", TarStream(stream), in_place, {})
    data = packed(source, size)
    if not files:
        assert data == b""
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        assert {name: file.read() for name, file in found.items() if file} == {
            name: file.read() for name, file in files.items()
        }
    assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert source.bytes == len(data)
    assert source.streamed_bytes == sum(len(file.stored) for file in files.values())


@given(files=tars.trees())
def test_an_entry_finds_its_file_in_the_pack(files: Files) -> None:
    """Offset, size, holes and hash of every entry are those of the bytes that lie in the pack."""
    source = pack(tars.pack_of(files.items()))
    data = packed(source)
    assert source.files.keys() == files.keys()
    for path, file in files.items():
        entry = source.files[path]
        assert entry == FileEntry("packs/1", entry.offset, file.size, file.holes, file.sha256)
        assert data[entry.offset : entry.offset + entry.stored] == file.stored


@given(files=tars.trees(), equal=st.sets(st.integers(0, 7)), changed=st.sets(st.integers(0, 7)))
def test_what_an_earlier_pack_holds_is_left_out(files: Files, equal: set[int], changed: set[int]) -> None:
    """Files equal to the parent's keep its entry; changed and new ones are in the new pack, and only they."""
    paths = list(files)
    same = {paths[index] for index in equal if index < len(paths)}
    other = {paths[index] for index in changed if index < len(paths)} - same
    before = known({path: files[path] for path in same})
    before |= {path: FileEntry("packs/0", 7, files[path].size, files[path].holes, "0" * 64) for path in other}
    source = pack(tars.pack_of(files.items()), before)
    assert source.has_anything() == bool(files.keys() - same)
    data = packed(source)
    assert {path: source.files[path] for path in same} == {path: before[path] for path in same}
    kept = {path: files[path] for path in paths if path not in same}
    assert data == (tars.pack_of(kept.items()) if kept else b"")
    assert all(source.files[path].pack == "packs/1" for path in kept)


@pytest.mark.parametrize(
    "other",
    [
        Content(((0, b"12"), (10, b"34")), 6, is_sparse=True),
        Content(((0, b"12"), (10, b"34")), 7, is_sparse=True),
        Content(((10, b"1234"),), 0, is_sparse=True),
    ],
)
def test_equal_bytes_at_other_places_are_another_file(other: Content) -> None:
    """A file with the parent's stored bytes but other holes or another size is kept."""
    before = Content(((0, b"1234"),), 10, is_sparse=True)
    source = pack(tars.pack_of([("a", other)]), known({"a": before}))
    assert source.has_anything()
    packed(source)
    assert source.files["a"].pack == "packs/1"
    assert source.files["a"].size == other.size


def test_a_file_is_only_kept_back_up_to_a_bound() -> None:
    """Equal files up to 1 MiB are left out; a larger one is sent, because its hash is only known at its end."""
    for size, is_kept in ((MIB, False), (MIB + 1, True)):
        file = tars.whole(b"x" * size)
        source = pack(tars.pack_of([("a", file)]), known({"a": file}))
        assert source.has_anything() == is_kept
        assert len(packed(source)) == (size + 512 + 511 + 1024 if is_kept else 0)
        assert source.files["a"].pack == ("packs/1" if is_kept else "packs/0")


def test_a_large_file_that_is_known_not_to_have_changed_is_left_out() -> None:
    """Whoever can tell beforehand saves the upload; the stream is hashed all the same."""
    file = tars.whole(b"x" * 3 * MIB)
    asked = []

    def unchanged(path: str, entry: FileEntry) -> bool:
        """Say yes."""
        asked.append((path, entry.pack))
        return True

    stream = TarStream(io.BytesIO(tars.pack_of([("a", file)])))
    source = PackSource("packs/1", stream, in_place, known({"a": file}), unchanged)
    assert not source.has_anything()
    assert source.files["a"].pack == "packs/0"
    assert asked == [("a", "packs/0")]


def test_a_large_file_that_did_change_after_all_ends_the_pack() -> None:
    """Left out on a wrong word it would be restored as it was: the backup fails instead, and the next takes all."""
    now, before = tars.whole(b"x" * 3 * MIB), tars.whole(b"y" * 3 * MIB)
    stream = TarStream(io.BytesIO(tars.pack_of([("a", now)])))
    source = PackSource("packs/1", stream, in_place, known({"a": before}), lambda _path, _entry: True)
    with pytest.raises(IntegrityError, match="changed between"):
        source.has_anything()


def test_a_large_file_passes_in_bounded_memory() -> None:
    """A pack of a 64 MiB file holds a few MiB at a time."""

    class Zeros:
        """An archive of one 64 MiB file that is nowhere in memory."""

        def __init__(self) -> None:
            self._head = io.BytesIO(tars.named("a", tars.header(b"", tars.FILE, 64 * MIB)))
            self._left = 64 * MIB + 1024

        def read(self, size: int) -> bytes:
            """Return the next bytes."""
            if head := self._head.read(size):
                return head
            data = bytes(min(size, self._left))
            self._left -= len(data)
            return data

    zeros: Readable = Zeros()
    source = PackSource("packs/1", TarStream(zeros), in_place, {})
    tracemalloc.start()
    try:
        length = 0
        while data := source.read(MIB):
            length += len(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length == 64 * MIB + 512 + 1024
    assert peak < 6 * MIB


def test_notes_and_directories_are_not_kept() -> None:
    """A member that is placed nowhere is noted, a directory is nothing, and neither makes a pack."""
    stream = tars.archive(tars.directory("d/"), tars.plain("d/note", b"{}"))
    source = PackSource("packs/1", TarStream(io.BytesIO(stream)), lambda _: None, {})
    assert not source.has_anything()
    assert packed(source) == b""
    assert (source.notes, source.files, source.streamed_bytes) == ({"d/note": b"{}"}, {}, 0)


def test_a_note_of_any_size_is_not_collected() -> None:
    """A note longer than 16 MiB is refused before it is read."""
    stream = tars.named("note", tars.header(b"", tars.FILE, 17 * MIB))
    source = PackSource("packs/1", TarStream(io.BytesIO(stream)), lambda _: None, {})
    with pytest.raises(IntegrityError, match="note"):
        source.has_anything()


def test_a_path_that_comes_twice_is_refused() -> None:
    """Two members of one path, or two that are placed at one, contradict each other, files and notes alike."""
    twice = tars.archive(tars.plain("a", b"1"), tars.plain("b", b"2"), tars.plain("a", b"1"))
    equal = {"a": tars.whole(b"1"), "b": tars.whole(b"2")}
    for source in (
        pack(twice),
        pack(twice, known(equal)),
        PackSource("packs/1", TarStream(io.BytesIO(twice)), lambda _: "same", {}),
        PackSource("packs/1", TarStream(io.BytesIO(twice)), lambda _: None, {}),
    ):
        with pytest.raises(IntegrityError, match="twice"):
            packed(source)


def test_a_source_that_failed_never_comes_to_an_end() -> None:
    """Asked again after an error it fails again: an end would make a cut pack look whole."""
    whole = tars.archive(tars.plain("a", b"x" * 2000), tars.plain("b", b"y" * 2000))
    source = pack(whole[:3500])
    with pytest.raises(IntegrityError, match="ends inside"):
        packed(source)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="ends inside"):
            source.read(MIB)


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar here")
def test_tar_alone_unpacks_a_pack(tmp_path: Path) -> None:
    """`tar xf` restores a pack's files, holes and long names included, without this project.

    GNU tar wants every run of data but the last to be whole blocks, as those of a file system are.
    """
    files = {
        "a/plain": tars.whole(b"x" * 3000),
        "a/" + "n" * 180: tars.whole(b"long"),
        "sparse": Content(tuple((5000, bytes([65 + index]) * 512) for index in range(40)), 9000, is_sparse=True),
        "hole": Content((), 100_000, is_sparse=True),
        "empty": tars.whole(b""),
    }
    (tmp_path / "pack.tar").write_bytes(packed(pack(tars.pack_of(files.items()))))
    subprocess.run(["tar", "-xf", "pack.tar"], cwd=tmp_path, check=True, timeout=20)
    (tmp_path / "pack.tar").unlink()
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {name: file.read() for name, file in files.items()}
