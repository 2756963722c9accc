import asyncio
import contextlib
import io
import tempfile
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import restore
from runtime.errors import IntegrityError, StoreError
from runtime.repository.directory import DirectoryStore
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress, RunSink, Target
from tests.support import manifests, placing, tars
from tests.support.placing import FILES, SHARD, expected, place, stored, tree, used
from tests.support.tars import Content, whole

MIB = 1 << 20


Files = Mapping[str, Content]


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
