import asyncio
import contextlib
import io
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import local_files, restore
from runtime.errors import IntegrityError, StoreError
from runtime.repository.directory import DirectoryStore
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress, RunSink, Target
from tests.support import manifests, placing, tars
from tests.support.placing import SHARD, expected, place, stored, tree
from tests.support.tars import Content, whole

MIB = 1 << 20
Files = Mapping[str, Content]

FILES = {
    "segments/s/a": whole(b"a" * 3000),
    "segments/s/b": Content(((1000, b"b" * 100), (0, b"c"), (5000, b"d" * 10)), 700, is_sparse=True),
    "segments/s/empty": whole(b""),
    "segments/t/hole": Content((), 9000, is_sparse=True),
    "wal/x": whole(b"x" * 10),
}


def used(manifest: Manifest) -> list[range]:
    """Return which of a pack's bytes its files are made of."""
    entries = manifest.collections["things"].shards["0"].files.values()
    return [range(entry.offset, entry.offset + entry.stored) for entry in entries]


@settings(max_examples=60)
@given(files=tars.trees(), sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_what_was_packed_is_placed(files: Files, sizes: list[int]) -> None:
    """Every file is there byte for byte and nothing else, whatever the sizes in which the store delivers."""
    bucket, manifest = stored(files)
    with tempfile.TemporaryDirectory() as folder:
        progress, _ = asyncio.run(place(bucket, manifest, Path(folder, "storage"), sizes=sizes))
        assert tree(Path(folder, "storage")) == expected(files)
        assert (progress.files_done, progress.bytes_done) == (progress.files, progress.bytes)
        assert progress.files == len(files)
        assert progress.bytes == sum(len(file.stored) for file in files.values())


def test_holes_are_holes_again(tmp_path: Path) -> None:
    """A file of holes takes no more of the disk than what is stored of it."""
    file = Content(((8 * MIB, b"x" * 4096), (8 * MIB, b"y" * 4096)), 16 * MIB, is_sparse=True)
    bucket, manifest = stored({"page": file})
    asyncio.run(place(bucket, manifest, tmp_path))
    status = (tmp_path / SHARD / "page").stat()
    assert status.st_size == file.size
    assert status.st_blocks * 512 <= 64 * 1024


@settings(max_examples=60)
@given(position=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(position: int, bit: int) -> None:
    """One bit of any byte that a file is made of is an IntegrityError; one of padding or a header harms nothing."""
    bucket, manifest = stored(FILES)
    data = bytearray(bucket.objects[placing.PACK].data)
    position %= len(data)
    data[position] ^= 1 << bit
    bucket.objects[placing.PACK].data = bytes(data)
    with tempfile.TemporaryDirectory() as folder:
        if any(position in span for span in used(manifest)):
            with pytest.raises(IntegrityError, match="damaged"):
                asyncio.run(place(bucket, manifest, Path(folder)))
        else:
            asyncio.run(place(bucket, manifest, Path(folder)))
            assert tree(Path(folder)) == expected(FILES)


def test_every_used_byte_counts(tmp_path: Path) -> None:
    """The first and the last byte of each file are among those whose change is found."""
    bucket, manifest = stored(FILES)
    whole_pack = bucket.objects[placing.PACK].data
    for span in used(manifest):
        for position in {*span[:1], *span[-1:]}:
            data = bytearray(whole_pack)
            data[position] ^= 0x80
            bucket.objects[placing.PACK].data = bytes(data)
            with pytest.raises(IntegrityError, match="damaged"):
                asyncio.run(place(bucket, manifest, tmp_path))


def test_a_cut_or_missing_pack_is_an_integrity_error(tmp_path: Path) -> None:
    """A pack that ends too soon, or is not there, is damage and no store's failure."""
    bucket, manifest = stored(FILES)
    data = bucket.objects[placing.PACK].data
    for length in (0, 600, 2000, max(span.stop for span in used(manifest)) - 1):
        bucket.objects[placing.PACK].data = data[:length]
        with pytest.raises(IntegrityError):
            asyncio.run(place(bucket, manifest, tmp_path))
    del bucket.objects[placing.PACK]
    with pytest.raises(IntegrityError, match="missing"):
        asyncio.run(place(bucket, manifest, tmp_path))


def test_a_failed_placement_can_be_done_again(tmp_path: Path) -> None:
    """After damage in one file the next attempt repairs what is left of the first."""
    bucket, manifest = stored(FILES)
    data = bucket.objects[placing.PACK].data
    spoiled = bytearray(data)
    spoiled[used(manifest)[0].start] ^= 1
    bucket.objects[placing.PACK].data = bytes(spoiled)
    with pytest.raises(IntegrityError):
        asyncio.run(place(bucket, manifest, tmp_path))
    bucket.objects[placing.PACK].data = data
    asyncio.run(place(bucket, manifest, tmp_path))
    assert tree(tmp_path) == expected(FILES)


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def _as_folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"x")


def _folder_as_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"x")


SPOILT = {
    "a changed byte": (lambda path: _flip(path, 0), "segments/s/a", 1),
    "a changed last byte": (lambda path: _flip(path, 2999), "segments/s/a", 1),
    "a byte in a hole": (lambda path: _flip(path, 500), "segments/s/b", 1),
    "a byte in the last hole": (lambda path: _flip(path, 6700), "segments/s/b", 1),
    "a byte in nothing but a hole": (lambda path: _flip(path, 8999), "segments/t/hole", 1),
    "a shorter file": (lambda path: os.truncate(path, 2999), "segments/s/a", 1),
    "a longer file": (lambda path: os.truncate(path, 3001), "segments/s/a", 1),
    "a longer empty file": (lambda path: os.truncate(path, 1), "segments/s/empty", 1),
    "no file": (lambda path: path.unlink(), "wal/x", 1),
    "a folder instead of a file": (_as_folder, "wal/x", 1),
    "a file instead of a folder": (_folder_as_file, "segments/s/a", 3),
    "a file too many": (lambda path: path.with_name("extra").write_bytes(b"x"), "wal/x", 0),
    "a folder too many": (lambda path: (path.parent.parent / "extra/deep").mkdir(parents=True), "wal/x", 0),
}


@pytest.mark.parametrize(("spoil", "path", "files"), SPOILT.values(), ids=SPOILT.keys())
def test_a_second_placement_repairs_what_differs_and_fetches_no_more(
    tmp_path: Path, spoil: placing.Spoil, path: str, files: int
) -> None:
    """Local files that are right are kept, the others fetched, those that no manifest names deleted."""
    bucket, manifest = stored(FILES)
    asyncio.run(place(bucket, manifest, tmp_path))
    spoil(tmp_path / SHARD / path)
    progress, _ = asyncio.run(place(bucket, manifest, tmp_path))
    assert progress.files == progress.files_done == files
    assert tree(tmp_path) == expected(FILES)
    assert not list(tmp_path.rglob("*extra*"))


def test_an_unchanged_placement_fetches_nothing(tmp_path: Path) -> None:
    """All files right: not one request for a pack."""
    bucket, manifest = stored(FILES)
    asyncio.run(place(bucket, manifest, tmp_path))
    progress, store = asyncio.run(place(bucket, manifest, tmp_path))
    assert (progress.files, progress.bytes, store.delivered) == (0, 0, [])


def test_what_is_beside_the_collections_is_gone(tmp_path: Path) -> None:
    """Files and folders of an engine that ran before do not survive beside the collections."""
    (tmp_path / "raft_state.json").write_text("{}")
    (tmp_path / "snapshots" / "things").mkdir(parents=True)
    (tmp_path / "collections" / "other" / "0").mkdir(parents=True)
    bucket, manifest = stored(FILES)
    asyncio.run(place(bucket, manifest, tmp_path))
    assert tree(tmp_path) == expected(FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aliases", "collections"]


def test_what_was_placed_and_not_touched_is_not_hashed_again(tmp_path: Path) -> None:
    """With `untouched` a file of the right size is taken on trust; one of another size, or another entry, is not."""
    bucket, manifest = stored(FILES)
    asyncio.run(place(bucket, manifest, tmp_path))
    _flip(tmp_path / SHARD / "segments/s/a", 0)
    os.truncate(tmp_path / SHARD / "wal/x", 3)
    progress, _ = asyncio.run(place(bucket, manifest, tmp_path, untouched=manifest))
    assert progress.files == 1
    assert tree(tmp_path) != expected(FILES)
    bucket, changed = stored({**FILES, "segments/s/a": whole(b"z" * 3000)})
    progress, _ = asyncio.run(place(bucket, changed, tmp_path, untouched=manifest))
    assert (tmp_path / SHARD / "segments/s/a").read_bytes() == b"z" * 3000


def outside_of(tmp_path: Path) -> Path:
    """Return a folder outside the storage with the same files in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for path, content in FILES.items():
        (outside / path).parent.mkdir(parents=True, exist_ok=True)
        (outside / path).write_bytes(content.read())
    return outside


@pytest.mark.parametrize(
    "link",
    [
        "elsewhere",
        "aliases",
        "collections",
        "collections/things",
        "collections/things/config.json",
        "collections/other",
        str(SHARD),
        str(SHARD / "segments"),
        str(SHARD / "segments/s/a"),
        str(SHARD / "segments/s/other"),
    ],
)
@pytest.mark.parametrize("to_folder", [True, False])
def test_links_are_not_followed(tmp_path: Path, link: str, to_folder: bool) -> None:  # noqa: FBT001
    """A symbolic link anywhere in the storage is replaced or deleted; what it leads to stays as it is."""
    outside, storage = outside_of(tmp_path), tmp_path / "storage"
    before = tree(outside)
    bucket, manifest = stored(FILES)
    (storage / link).parent.mkdir(parents=True)
    (storage / link).symlink_to(outside if to_folder else outside / "segments/s/a")
    for _ in range(2):
        asyncio.run(place(bucket, manifest, storage))
        assert tree(storage) == expected(FILES)
    assert tree(outside) == before


def test_clearing_leaves_nothing_and_follows_no_link(tmp_path: Path) -> None:
    """An empty start has an empty directory."""
    outside, storage = outside_of(tmp_path), tmp_path / "storage"
    before = tree(outside)
    (storage / "collections/a/0").mkdir(parents=True)
    (storage / "collections/a/0/file").write_text("x")
    (storage / "collections/link").symlink_to(outside)
    (storage / "link").symlink_to(outside)
    restore.clear(storage)
    assert tree(storage) == {}
    assert list(storage.rglob("*")) in ([], [storage / "collections"])
    assert tree(outside) == before


def test_zeros_are_read_where_the_file_system_does_not_tell_holes() -> None:
    """A file whose holes cannot be asked for is read: not knowing is not the same as zeros."""
    with Path("/proc/self/status").open("rb", buffering=0) as file:
        with pytest.raises(OSError, match="Invalid argument"):
            os.lseek(file.fileno(), 0, os.SEEK_DATA)
        assert not local_files._is_zero(file.fileno(), (0, 64))


@pytest.mark.parametrize("file", [whole(b""), Content((), 50_000, is_sparse=True)], ids=["empty", "hole"])
def test_thousands_of_files_without_bytes_are_placed_without_a_request(tmp_path: Path, file: Content) -> None:
    """A range of nothing is never asked for, and files of nothing do not pile up on the stack."""
    files = {f"segments/s/{number:05}": file for number in range(3000)}
    bucket, manifest = stored(files)
    entries, _ = placing.packed({"only": file})
    shard = replace(manifest.collections["things"].shards["0"])
    close = {path: replace(entries["only"], offset=512 + number) for number, path in enumerate(shard.files)}
    collection = replace(manifest.collections["things"], shards={"0": replace(shard, files=close)})
    progress, store = asyncio.run(place(bucket, replace(manifest, collections={"things": collection}), tmp_path))
    assert progress.files_done == 3000
    assert {length for _, _, length in store.delivered} <= set(range(1, 3000))
    assert all(path.stat().st_size == file.size for path in (tmp_path / SHARD / "segments/s").iterdir())
    alone = replace(collection, shards={"0": replace(shard, files=entries)})
    _, store = asyncio.run(place(bucket, replace(manifest, collections={"things": alone}), tmp_path))
    assert store.delivered == []
    assert (tmp_path / SHARD / "only").stat().st_size == file.size


def test_files_far_apart_come_in_ranges_of_their_own(tmp_path: Path) -> None:
    """What lies between wanted files is not fetched when it is large, and is when it is small."""
    names = [f"f{number:02}" for number in range(20)]
    files = {name: whole(name.encode() * (60_000 if number % 2 else 5)) for number, name in enumerate(names)}
    bucket, manifest = stored(files)
    shard = manifest.collections["things"].shards["0"]
    wanted = {path: entry for path, entry in shard.files.items() if entry.size < 100 or path > "f15"}
    collection = replace(manifest.collections["things"], shards={"0": replace(shard, files=wanted)})
    _, store = asyncio.run(place(bucket, replace(manifest, collections={"things": collection}), tmp_path))
    assert tree(tmp_path) == expected({path: files[path] for path in wanted})
    assert sum(length for _, _, length in store.delivered) < 600_000
    assert len(store.delivered) == 9


def test_placing_a_large_file_takes_a_few_mebibytes(tmp_path: Path) -> None:
    """A file of 64 MiB is placed, and compared on the second time, in bounded memory."""

    class Zeros:
        """A pack of one file of 64 MiB that is nowhere in memory."""

        def __init__(self) -> None:
            self._left = 64 * MIB

        def read(self, size: int) -> bytes:
            """Return the next bytes."""
            data = bytes(min(size, self._left))
            self._left -= len(data)
            return data

    (tmp_path / "backup").mkdir()

    async def measure() -> int:
        """Upload, place twice, and return the peak of what Python had in memory."""
        store = DirectoryStore(tmp_path / "backup")
        await store.upload(placing.PACK, Zeros())
        entries, _ = placing.packed({"a": whole(bytes(64 * MIB))})
        pack = replace(manifests.pack_entry(b""), bytes=64 * MIB)
        manifest = manifests.of_files(placing.PACK, {"a": replace(entries["a"], offset=0)}, b"")
        manifest = replace(manifest, packs={placing.PACK: pack})
        tracemalloc.start()
        try:
            for files in (1, 0):
                progress = Progress()
                await restore.place(Repository(store), manifest, tmp_path / "storage", progress)
                assert progress.files_done == files
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await store.close()

    assert asyncio.run(measure()) < 8 * MIB
    assert (tmp_path / "storage" / SHARD / "a").stat().st_size == 64 * MIB


@settings(max_examples=150)
@given(data=st.data())
def test_a_manifest_from_anybody_s_bucket_does_no_harm(data: st.DataObject) -> None:
    """One thing wrong in a manifest: refused when read, refused when placed, or placed; never outside, nor a crash."""
    bucket, manifest = stored(FILES)
    wrong = data.draw(manifests.damaged(manifest.encode()))
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(IntegrityError, StoreError):
            asyncio.run(place(bucket, Manifest.decode(wrong), Path(folder, "storage")))
        assert {path.name for path in Path(folder).iterdir()} <= {"storage"}


def test_a_range_that_ends_inside_a_file_is_damage(tmp_path: Path) -> None:
    """A sink that got too little says so, and lets go of its file."""
    entries, pack = placing.packed(FILES)
    entry = entries["segments/s/a"]
    sink = RunSink(placing.PACK, [Target(tmp_path / "a", entry)], Progress())
    sink.write(pack[entry.offset : entry.offset + entry.stored - 1])
    with pytest.raises(IntegrityError, match="ended inside"):
        sink.finish()
    sink.close()
    sink.close()


def test_bytes_after_the_last_file_are_no_file_s(tmp_path: Path) -> None:
    """What a store delivers beyond the range is left alone."""
    entries, pack = placing.packed({"a": whole(b"12345")})
    sink = RunSink(placing.PACK, [Target(tmp_path / "a", entries["a"])], Progress())
    sink.write(io.BytesIO(pack).getbuffer()[entries["a"].offset :])
    sink.finish()
    assert (tmp_path / "a").read_bytes() == b"12345"
