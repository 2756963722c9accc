import asyncio
import os
import shutil
from pathlib import Path

import pytest

from runtime import local_files, restore
from runtime.errors import IntegrityError
from tests.support import placing
from tests.support.placing import FILES, SHARD, expected, place, stored, tree, used
from tests.support.tars import whole


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
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def _as_folder(path: Path) -> None:
    """Put a folder where the file was."""
    path.unlink()
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"x")


def _folder_as_file(path: Path) -> None:
    """Put a file where the file's folder was."""
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
