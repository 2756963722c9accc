"""What an application sees: upload, download, list, on a directory store and on a bucket."""

import asyncio
import datetime as dt
import os
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import download_directory, list_directories, upload_directory
from runtime.errors import (
    ConfigError,
    IntegrityError,
    NothingThere,
    RuntimeFailure,
    StoreUnreachable,
    WrittenMeanwhile,
)
from runtime.repository.store import ObjectInfo
from runtime.tree import download, upload
from runtime.tree.disk import Changed
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.strict_gcs import StrictGcs
from tests.support.virtual_time import run
from tests.tree.disk import make, names, told

PLAN = {"index/a.bin": b"a" * 3_000_000, "index/b.bin": b"b", "meta.json": b"{}", "empty": None, "now": "index/b.bin"}
MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give the directory that is the store."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a directory to upload."""
    return make(tmp_path / "source", PLAN)


def test_on_a_bucket_nothing_is_sent_twice_overwritten_or_deleted(
    strict: StrictGcs, tmp_path: Path, source: Path
) -> None:
    """Whoever may create and read objects can upload; what is there already is not sent again."""
    prefix = "gs://backups/some/folder"
    first = upload_directory(source, prefix, emulator_host=strict.url)
    assert (first.committed, first.sent_files, first.sent_bytes) == (True, 3, 3_000_003)
    same = upload_directory(source, prefix, emulator_host=strict.url)
    assert (same.committed, same.sent_files, same.version) == (False, 0, first.version)
    (source / "meta.json").write_bytes(b'{"n": 1}')
    (source / "index/a.bin").rename(source / "index/c.bin")
    second = upload_directory(source, prefix, emulator_host=strict.url)
    assert (second.version.version, second.sent_files, second.sent_bytes) == (2, 1, 8)

    found = download_directory(prefix, tmp_path / "out", emulator_host=strict.url)
    assert found == second.version
    assert told(tmp_path / "out") == told(source)
    changes = [asked for asked in strict.asked if asked.method in ("POST", "DELETE", "PATCH")]
    assert {asked.method for asked in changes} == {"POST"}
    assert all(asked.query["ifGenerationMatch"] == "0" for asked in changes)


def test_versions_are_listed_and_any_of_them_comes_back(store: Path, source: Path, tmp_path: Path) -> None:
    """Newest first, with what each holds and when it was made."""
    prefix = f"file://{store}/folder"
    before = told(source)
    upload_directory(source, prefix)
    (source / "more").write_bytes(b"more")
    upload_directory(source, prefix)
    newest, oldest = list_directories(prefix)

    assert (newest.version, newest.files, newest.bytes) == (2, 4, 3_000_007)
    assert (oldest.version, oldest.files, oldest.directories, oldest.links) == (1, 3, 2, 1)
    assert abs(dt.datetime.now(dt.UTC) - oldest.created_at) < dt.timedelta(minutes=5)
    assert list_directories(prefix, limit=1) == (newest,)
    assert download_directory(prefix, tmp_path / "deep" / "out", version=1) == oldest
    assert told(tmp_path / "deep" / "out") == before
    with pytest.raises(NothingThere, match="no version 3"):
        download_directory(prefix, tmp_path / "none", version=3)


def test_where_nothing_was_uploaded_nothing_is_placed(store: Path, tmp_path: Path) -> None:
    """No version is an error with a name, never an empty directory."""
    assert list_directories(f"file://{store}") == ()
    with pytest.raises(NothingThere, match="holds no directory"):
        download_directory(f"file://{store}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lineage_of_backups_is_left_alone(store: Path, source: Path) -> None:
    """A prefix with a HEAD is refused, and each folder of its layout; a folder beside them is not."""
    (store / "HEAD").write_text("{}")
    for prefix in (f"file://{store}", f"file://{store}/packs", f"file://{store}/exports/mine"):
        (store / "exports").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match="holds Qdrant's backups"):
            upload_directory(source, prefix)
    assert names(store) == {".store", "HEAD", "exports"}
    assert names(store / "exports") == set()
    assert upload_directory(source, f"file://{store}/mine").committed


def test_a_directory_that_holds_something_is_replaced_only_when_told(store: Path, source: Path, tmp_path: Path) -> None:
    """Refused, and left as it was; with `replace` it holds exactly the version, and nothing is left beside it."""
    prefix = f"file://{store}"
    upload_directory(source, prefix)
    target = make(tmp_path / "place" / "out", {"mine": b"1", "locked/x": b"2"})
    (target / "locked").chmod(0o500)
    before = told(target)
    with pytest.raises(ConfigError, match="not empty"):
        download_directory(prefix, target)
    assert told(target) == before
    download_directory(prefix, target, replace=True)
    assert told(target) == told(source)
    (tmp_path / "place" / "file").write_text("")
    with pytest.raises(ConfigError, match="no directory"):
        download_directory(prefix, tmp_path / "place" / "file", replace=True)
    assert names(tmp_path / "place") == {"file", "out"}


def test_a_replacement_that_cannot_take_its_place_gives_the_old_one_back(tmp_path: Path) -> None:
    """Between two renames the second may fail: the first is undone."""
    target = make(tmp_path / "place" / "out", {"mine": b"1"})
    before = told(target)
    with pytest.raises(FileNotFoundError):
        download._move(tmp_path / "place" / "never made", target, replace=True)
    assert told(target) == before
    assert names(tmp_path / "place") == {"out"}


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_damage_is_told_and_the_target_stays_what_it_was(
    store: Path, source: Path, tmp_path: Path, damage: str
) -> None:
    """One wrong bit of one file: an error that names the object, the target untouched, nothing left beside it."""
    upload_directory(source, f"file://{store}")
    target = make(tmp_path / "place" / "out", {"mine": b"1"})
    before = told(target)
    largest = max((store / "contents").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        largest.unlink()
    else:
        largest.write_bytes(data[:-1] if damage == "cut" else data)

    with pytest.raises(IntegrityError, match=largest.name):
        download_directory(f"file://{store}", target, replace=True)
    assert told(target) == before
    assert names(tmp_path / "place") == {"out"}


def test_what_is_missing_in_the_store_is_sent_again(store: Path, source: Path, tmp_path: Path) -> None:
    """An upload looks at what is there, not at what should be."""
    upload_directory(source, f"file://{store}")
    for path in (store / "contents").iterdir():
        path.unlink()
    again = upload_directory(source, f"file://{store}")

    assert (again.committed, again.sent_files) == (False, 3)
    download_directory(f"file://{store}", tmp_path / "out")
    assert told(tmp_path / "out") == told(source)


def test_what_is_damaged_in_the_store_is_not_built_upon(store: Path, source: Path) -> None:
    """An upload compares what it would not send again with what the store says of it."""
    upload_directory(source, f"file://{store}")
    largest = max((store / "contents").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(b"other" + largest.read_bytes()[5:-1])
    (source / "more").write_bytes(b"more")
    with pytest.raises(IntegrityError, match=largest.name):
        upload_directory(source, f"file://{store}")
    assert len(list_directories(f"file://{store}")) == 1


def test_an_upload_made_from_an_older_version_is_refused(store: Path, source: Path) -> None:
    """`after` holds an upload to the version that its directory was made from."""
    upload_directory(source, f"file://{store}", after=0)
    (source / "theirs").write_bytes(b"")
    upload_directory(source, f"file://{store}", after=1)
    (source / "ours").write_bytes(b"")
    with pytest.raises(WrittenMeanwhile, match="is 2, not 1"):
        upload_directory(source, f"file://{store}", after=1)
    assert [found.version for found in list_directories(f"file://{store}")] == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "meta.json").write_bytes(b"[]"),
        lambda root: (root / "index/a.bin").write_bytes(b"A" * 3_000_000),
        lambda root: (root / "new").write_bytes(b""),
        lambda root: (root / "index/b.bin").unlink(),
        lambda root: (root / "empty").chmod(0o700),
    ],
    ids=["small", "large", "added", "removed", "mode"],
)
def test_a_directory_that_changes_meanwhile_is_not_committed(source: Path, change: Callable[[Path], object]) -> None:
    """A mixture of two moments is no version, at whichever request the change comes."""

    class Changing(ModelStore):
        """Changes the directory at its n-th operation."""

        at = 0

        async def write_new(self, name: str, data: bytes) -> ObjectInfo:
            """Write, after the change."""
            self.touch()
            return await super().write_new(name, data)

        async def stat(self, name: str) -> ObjectInfo:
            """Look, after the change."""
            self.touch()
            return await super().stat(name)

        def touch(self) -> None:
            """Change it once, when the first content is sent."""
            if self.operations >= self.at:
                change(source)
                self.at = 1 << 30

    store = Changing(ModelBucket())
    store.at = 2  # HEAD and the versions are looked at; then contents are sent
    with pytest.raises((Changed, RuntimeFailure), match=r"changed during|cannot be read"):
        run(upload.upload(store, source, after=None))
    assert not [name for name in store.bucket.objects if name.startswith("versions/")]


def test_what_cannot_be_kept_is_refused(store: Path, tmp_path: Path) -> None:
    """Links that lead out, pipes and sockets, and what is no directory: named, and nothing is uploaded."""
    prefix = f"file://{store}"
    for target in ("/etc/passwd", "../outside", "inside/../..", "inside/.."):
        root = make(tmp_path / f"links-{len(target)}", {"inside": None, "link": target})
        with pytest.raises(ConfigError, match="link"):
            upload_directory(root, prefix)
    root = make(tmp_path / "pipe", {})
    os.mkfifo(root / "pipe")
    with pytest.raises(ConfigError, match="no file, directory or link"):
        upload_directory(root, prefix)
    (root / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "s"))
        with pytest.raises(ConfigError, match="no file, directory or link"):
            upload_directory(root, prefix)
    with pytest.raises(ConfigError, match="no directory"):
        upload_directory(tmp_path / "nowhere", prefix)
    with pytest.raises(ConfigError, match="no place for backups"):
        upload_directory(root, "s3://elsewhere")
    assert names(store) <= {".store"}


def test_memory_is_bounded_whatever_the_size_of_a_file(store: Path, tmp_path: Path) -> None:
    """A file of 96 MiB goes and comes in a sixth of that."""
    root = make(tmp_path / "big", {})
    with (root / "file").open("wb") as file:
        for number in range(96):
            file.write(bytes([number]) * MIB)
    tracemalloc.start()
    try:
        upload_directory(root, f"file://{store}")
        download_directory(f"file://{store}", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB
    assert (tmp_path / "out" / "file").stat().st_size == 96 * MIB


def test_every_call_ends_in_time(store: Path, source: Path) -> None:
    """A deadline that has passed is an error that says so."""
    with pytest.raises(StoreUnreachable, match="not done within 0 s"):
        upload_directory(source, f"file://{store}", timeout_seconds=0)
    assert list_directories(f"file://{store}") == ()


def test_in_an_event_loop_it_says_what_to_do(store: Path) -> None:
    """It would block the loop; in a thread it works."""

    async def call() -> tuple[object, ...]:
        """Call it both ways."""
        with pytest.raises(RuntimeFailure, match=r"asyncio\.to_thread"):
            list_directories(f"file://{store}")
        return await asyncio.to_thread(list_directories, f"file://{store}")

    assert asyncio.run(call()) == ()


def test_the_package_itself_imports_nothing() -> None:
    """An instance starts through it: what applications use is imported when they use it."""
    code = (
        "import runtime, sys; print([m for m in sys.modules if m.split('.')[0] in ('requests', 'aiohttp', 'google')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "[]\n"
    with pytest.raises(ImportError, match="nothing"):
        from runtime import nothing  # noqa: F401
