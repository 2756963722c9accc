"""An upload with every fault at every store operation, and two uploads at once: a reader sees one version, whole."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.errors import RuntimeFailure, WrittenMeanwhile
from runtime.tree import download, upload, versions
from tests.crash_points.stage import FAULTS, Trap
from tests.support.model_store import Crash, ModelBucket, ModelStore
from tests.support.virtual_time import run
from tests.tree.disk import Plan, Told, make, told

# Longer than any fault's delay.
SETTLED_SECONDS = 20.0
LARGE = bytes(range(256)) * 5000
OLD: Plan = {"same": b"same", "changed": b"old", "gone/x": b"gone", "large": LARGE}
NEW: Plan = {"same": b"same", "changed": b"new", "added/y": b"", "large": LARGE + b"!", "copy": b"same", "link": "same"}
THIRD: Plan = {"third": b"3"}


async def seen(bucket: ModelBucket, folder: Path, number: int | None = None) -> Told | None:
    """Return what a reader gets, None when there is nothing."""
    store = ModelStore(bucket, "reader")
    version = await versions.read(store, number)
    if version is None:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    await download.download(store, version.tree, folder, replace=False)
    return told(folder)


async def interrupted(folder: Path, trees: dict[str, Path], trap: Trap, *, has_old: bool) -> None:
    """Upload with one fault; compare what readers see before and after its late effects, and after the next upload."""
    bucket = ModelBucket()
    old = None
    if has_old:
        await upload.upload(ModelStore(bucket, "first"), trees["old"], after=None)
        old = told(trees["old"])
    allowed = [old, told(trees["new"])]
    trap.armed, done = True, False
    try:
        await upload.upload(ModelStore(bucket, "second", plan=trap.plan), trees["new"], after=None)
        done = True
    except (RuntimeFailure, Crash):
        assert trap.sprung
    trap.armed = False
    assert await seen(bucket, folder) in (allowed[1:] if done else allowed)
    await asyncio.sleep(SETTLED_SECONDS)
    assert await seen(bucket, folder) in (allowed[1:] if done else allowed)
    again = await upload.upload(ModelStore(bucket, "again"), trees["new"], after=None)
    assert again.version.number == 1 + has_old
    assert await seen(bucket, folder) == allowed[1]
    await upload.upload(ModelStore(bucket, "third"), trees["third"], after=again.version.number)
    assert await seen(bucket, folder) == told(trees["third"])
    assert await seen(bucket, folder, again.version.number) == allowed[1]
    if has_old:
        assert await seen(bucket, folder, 1) == old


@pytest.fixture(scope="module")
def trees(scratch: Path) -> dict[str, Path]:
    """Give the directories that are uploaded."""
    folder = scratch / "trees"
    return {name: make(folder / name, plan) for name, plan in (("old", OLD), ("new", NEW), ("third", THIRD))}


@pytest.mark.parametrize("which", ["first", "next"])
def test_a_reader_sees_the_old_or_the_new_version_whatever_happens_where(
    scratch: Path, trees: dict[str, Path], which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every fault at every operation; what an upload that succeeded committed is there, and the next one goes well."""
    plain, has_old = Trap(), which == "next"
    run(interrupted(scratch / "out", trees, plain, has_old=has_old))
    for operation in range(len(plain.seen)):
        for name, fault in FAULTS.items():
            trap = Trap(operation, fault)
            try:
                run(interrupted(scratch / "out", trees, trap, has_old=has_old))
            except AssertionError as error:
                raise AssertionError(f"{name} at {plain.seen[operation]}") from error
            assert trap.sprung
    with capsys.disabled():
        print(f"\nupload: {len(plain.seen)} operations, {len(plain.seen) * len(FAULTS)} points")  # noqa: T201
    assert len(plain.seen) >= 8


def slow(chance: random.Random) -> Callable[[], Awaitable[None]]:
    """Return a schedule of chance."""

    async def wait() -> None:
        """Let others go first, or not."""
        await asyncio.sleep(chance.random())

    return wait


async def race(seed: int, folder: Path, trees: dict[str, Path]) -> int:
    """Upload two directories at once on top of a third; return how many were committed."""
    bucket = ModelBucket()
    await upload.upload(ModelStore(bucket, "before"), trees["third"], after=None)
    chance = random.Random(seed)

    async def one(name: str) -> int | None:
        """Upload one; None when it was refused."""
        store = ModelStore(bucket, name, schedule=slow(chance))
        try:
            return (await upload.upload(store, trees[name], after=1)).version.number
        except WrittenMeanwhile:
            return None

    numbers = dict(zip(("old", "new"), await asyncio.gather(one("old"), one("new")), strict=True))
    committed = [name for name, number in numbers.items() if number is not None]
    assert [numbers[name] for name in committed] == [2]
    assert await seen(bucket, folder) == told(trees[committed[0]])
    assert await versions.numbers(ModelStore(bucket)) == [1, 2]
    return 0 if committed == ["old"] else 1


def test_of_two_uploads_at_once_one_is_committed_and_the_other_is_told(scratch: Path, trees: dict[str, Path]) -> None:
    """No update is lost: whoever did not see the other's version is refused, in every order of their operations."""
    winners = [run(race(seed, scratch / "out", trees)) for seed in range(60)]

    assert set(winners) == {0, 1}
