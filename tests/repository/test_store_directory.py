import fcntl
import io
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import IntegrityError, PreconditionFailed, StoreDenied, StoreUnreachable
from runtime.repository.checksums import crc32c_of
from runtime.repository.directory import SYNCED_BYTES, DirectoryStore
from tests.repository.conftest import Run
from tests.support.sources import DribblingSource, HeldSource

REPOSITORY = Path(__file__).parents[2]
WRITERS = 8
BOUND_SECONDS = 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give an empty directory."""
    root = tmp_path / "backup"
    root.mkdir()
    return root


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    """Give a store in it."""
    return DirectoryStore(root, deadline_seconds=10)


def worker(verb: str, root: Path, me: str, number: int = 0) -> subprocess.Popen[str]:
    """Start one process of a race."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.directory_worker", verb, str(root), me, str(number)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def finished(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all of them and return what they printed."""
    outputs = [process.communicate(timeout=BOUND_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs


def killed(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """Kill it with SIGKILL once something is the case."""
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    deadline = time.monotonic() + BOUND_SECONDS
    while not when():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait(BOUND_SECONDS)
    process.stdout.close()


async def names(store: DirectoryStore, prefix: str = "") -> list[str]:
    """Return the names in a listing."""
    return [info.name async for info in store.list(prefix)]


def test_of_eight_processes_exactly_one_creates_each_name(run: Run, root: Path, store: DirectoryStore) -> None:
    """And what is there is whole, and the winner's."""
    outputs = finished([worker("create", root, f"writer {n}", 40) for n in range(WRITERS)])
    won = {int(number): f"writer {n}" for n, output in enumerate(outputs) for number in output.split()}
    assert sum(len(output.split()) for output in outputs) == len(won) == 40
    for number, winner in won.items():
        assert run(store.read(f"claims/{number}"))[0] == f"{winner}\n".encode() * 1000


def test_eight_processes_that_count_by_swapping_lose_no_step(run: Run, root: Path, store: DirectoryStore) -> None:
    """Compare and swap holds across processes."""
    finished([worker("count", root, str(n), 15) for n in range(WRITERS)])
    assert run(store.read("counter"))[0] == b"%d" % (WRITERS * 15)


@pytest.mark.parametrize("objects", [1, 3, 6])
def test_a_killed_writer_leaves_whole_objects_and_no_lock(
    run: Run, root: Path, store: DirectoryStore, objects: int
) -> None:
    """Wherever SIGKILL met it, what is visible is intact, and others go on at once."""
    processes = [worker("write", root, str(n)) for n in range(3)]
    for process in processes:
        killed(process, lambda: len(list(root.glob("objects/*/*"))) >= objects)
    found = run(names(store, "objects/")) + run(names(store, "heads/"))
    assert found
    for name in found:
        content, generation = run(store.read(name))
        assert content == content[: len(content) // 50_000] * 50_000
        assert run(store.stat(name)).generation == generation
    started = time.monotonic()
    run(store.write_new("next", b"1"))
    assert time.monotonic() - started < 5


def test_a_killed_upload_is_invisible_and_its_remains_are_removed(run: Run, root: Path, store: DirectoryStore) -> None:
    """The next writer clears away what the dead left; what the living write stays."""
    temporary = root / ".store" / "tmp"

    def under_way() -> bool:
        """Say whether some bytes are on the disk."""
        return any(file.stat().st_size > 1 << 20 for file in temporary.glob("*"))

    killed(worker("upload", root, "dead"), under_way)
    assert run(names(store)) == []
    assert len(list(temporary.iterdir())) == 1
    run(store.write_new("next", b"1"))
    assert list(temporary.iterdir()) == []


def test_a_living_upload_is_not_cleared_away(run: Run, store: DirectoryStore) -> None:
    """Another write while its temporary file is open leaves it alone."""
    import asyncio

    source = HeldSource(3 << 20, 1)

    async def write_meanwhile() -> None:
        """Write something else while the stream is being read."""
        task = asyncio.create_task(store.upload("pack", source))
        await asyncio.to_thread(source.reached.wait, 20)
        await store.write_new("other", b"1")
        source.release.set()
        assert (await task).size == (3 << 20) + 1

    run(write_meanwhile())


def test_an_upload_that_is_synced_on_its_way_is_whole(run: Run, root: Path, store: DirectoryStore) -> None:
    """Larger than what is written between two syncs, in pieces that fit no buffer: every byte is where it was."""
    data = random.Random(5).randbytes(1 << 20) * (SYNCED_BYTES // (1 << 20) + 3) + b"the end"
    info = run(store.upload("packs/p", DribblingSource(data, 700_001)))
    assert (root / "packs/p").read_bytes() == data
    assert (info.size, info.crc32c) == (len(data), crc32c_of(data))


def test_a_missing_directory_is_denied_and_not_empty(run: Run, tmp_path: Path) -> None:
    """Nor is it made by writing: a wrong path or an unmounted volume ends the start."""
    store = DirectoryStore(tmp_path / "nowhere" / "backup")
    for call in (
        store.read("HEAD"),
        store.stat("HEAD"),
        store.write_new("HEAD", b""),
        store.delete("HEAD", 1),
    ):
        with pytest.raises(StoreDenied, match="There is no directory") as raised:
            run(call)
        assert "mkdir -p" in raised.value.hint
    with pytest.raises(StoreDenied):
        run(names(store))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_created_on_request_in_a_parent_that_exists(run: Run, tmp_path: Path) -> None:
    """One level, so that an unmounted volume is not mistaken for a first start."""
    assert run(DirectoryStore(tmp_path / "backup").create())
    assert not run(DirectoryStore(tmp_path / "backup").create())
    with pytest.raises(StoreDenied):
        run(DirectoryStore(tmp_path / "volume" / "backup").create())


def test_a_directory_that_is_a_file_is_denied(run: Run, tmp_path: Path) -> None:
    """One clear line, no traceback."""
    (tmp_path / "backup").write_text("")
    with pytest.raises(StoreDenied):
        run(DirectoryStore(tmp_path / "backup").read("HEAD"))


def test_objects_are_plain_files_for_other_tools(run: Run, root: Path, store: DirectoryStore) -> None:
    """A pack opens with tar under its own name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("member"))
    run(store.upload("packs/p.tar", io.BytesIO(archive.getvalue())))
    with tarfile.open(root / "packs" / "p.tar") as tar:
        assert tar.getnames() == ["member"]


def test_a_flipped_bit_on_the_disk_is_an_integrity_error(run: Run, root: Path, store: DirectoryStore) -> None:
    """The kept checksum finds it, the file's time being what it was."""
    run(store.write_new("HEAD", b"content"))
    path = root / "HEAD"
    before = path.stat()
    path.write_bytes(b"contenT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IntegrityError, match="not what was written"):
        run(store.read("HEAD"))


def test_an_edit_by_hand_is_an_overwrite(run: Run, root: Path, store: DirectoryStore) -> None:
    """Another generation and another checksum, so that a swap upon the old one fails."""
    first = run(store.write_new("HEAD", b"1"))
    (root / "HEAD").write_bytes(b"by hand")
    edited = run(store.stat("HEAD"))
    assert (edited.size, edited.generation != first.generation) == (7, True)
    assert run(store.read("HEAD")) == (b"by hand", edited.generation)
    with pytest.raises(PreconditionFailed):
        run(store.swap("HEAD", b"2", first.generation))
    run(store.swap("HEAD", b"2", edited.generation))


def test_a_clock_that_is_behind_still_makes_a_higher_generation(run: Run, root: Path, store: DirectoryStore) -> None:
    """By a day: generations come from the one before, not from the clock alone."""
    run(store.write_new("HEAD", b"1"))
    tomorrow = time.time_ns() + 86_400 * 10**9
    os.utime(root / "HEAD", ns=(tomorrow, tomorrow))
    assert run(store.stat("HEAD")).generation == tomorrow
    assert run(store.swap("HEAD", b"2", tomorrow)).generation > tomorrow


def test_a_copied_store_is_the_same_store(run: Run, root: Path, tmp_path: Path, store: DirectoryStore) -> None:
    """Without its private folder, too: checksums are taken again."""
    info = run(store.write_new("packs/1", b"1"))
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", "-r", str(root / "packs"), str(copy)], check=True)
    copied = run(DirectoryStore(copy).stat("packs/1"))
    assert (copied.size, copied.crc32c) == (info.size, info.crc32c)


def test_a_lock_that_is_never_released_is_said_within_the_deadline(run: Run, root: Path) -> None:
    """By a process that is stopped, for instance."""
    store = DirectoryStore(root, deadline_seconds=0.2)
    run(store.write_new("HEAD", b"1"))
    with (root / ".store" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnreachable, match="held by another process"):
            run(store.write_new("other", b"1"))
        assert run(store.read("HEAD"))[0] == b"1"
    run(store.write_new("other", b"1"))


def test_the_store_s_own_folder_is_not_for_objects(run: Run, store: DirectoryStore) -> None:
    """Neither to be read nor to be written."""
    run(store.write_new("HEAD", b"1"))
    for name in (".store/lock", ".store/sums/HEAD.crc32c"):
        with pytest.raises(StoreDenied, match="not for objects"):
            run(store.read(name))
    assert run(names(store, ".sto")) == []
