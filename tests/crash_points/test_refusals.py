"""Starts that must be refused, or must not take what lies there: an error is never read as 'no backup'."""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.errors import IntegrityError, RuntimeFailure, StoreDenied
from runtime.prune import prune
from runtime.repository.head import Head, Request
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.crash_points.handovers import must_take
from tests.crash_points.scenarios import some_backups
from tests.crash_points.stage import Stage, Trap, denied
from tests.support.model_store import Crash, Fault, FaultKind, StoredObject
from tests.support.processes import ProcessLoop
from tests.support.virtual_time import run


def play(folder: Path, what: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story over a lineage with three backups."""

    async def story() -> None:
        """Prepare, then tell."""
        stage = Stage(folder, Trap())
        await some_backups(stage)
        await what(stage)

    run(story(), ProcessLoop())


async def refused(stage: Stage, error: type[RuntimeFailure]) -> None:
    """Start an instance, which must refuse for this reason and leave HEAD alone."""
    before = stage.bucket.objects.get("HEAD")
    with pytest.raises(error):
        await stage.machine(trapped=True).boot()
    assert stage.bucket.objects.get("HEAD") is before


def damage(stage: Stage, prefix: str) -> None:
    """Change a byte in every object below a prefix."""
    for name, there in list(stage.bucket.objects.items()):
        if name.startswith(prefix):
            data = there.data.replace(b"text", b"tost")
            stage.bucket.objects[name] = StoredObject(data, there.generation, there.crc32c)


def test_nothing_intact_is_refused(tmp_path: Path) -> None:
    """With every backup damaged an instance does not start, least of all empty, and claims nothing."""

    async def story(stage: Stage) -> None:
        """Damage all packs."""
        damage(stage, "packs/")
        await refused(stage, IntegrityError)

    play(tmp_path, story)


def test_denied_is_refused_as_denied(tmp_path: Path) -> None:
    """An account that may not read HEAD is told so; that is never 'no backup'."""

    async def story(stage: Stage) -> None:
        """Deny every read of HEAD."""
        machine = stage.machine()
        machine.store.plan = lambda _number, verb, name: (
            Fault(FaultKind.FAIL_BEFORE, error=denied) if (verb, name) == ("read", "HEAD") else None
        )
        with pytest.raises(StoreDenied):
            await machine.boot()

    play(tmp_path, story)


def test_no_head_over_backups_is_refused(tmp_path: Path) -> None:
    """Manifests without a HEAD are a lineage that lost it, not a new one."""

    async def story(stage: Stage) -> None:
        """Take HEAD away."""
        del stage.bucket.objects["HEAD"]
        await refused(stage, IntegrityError)

    play(tmp_path, story)


def test_an_engine_that_lost_something_is_refused(tmp_path: Path) -> None:
    """What the engine holds after its start is compared with the backup before anything is claimed."""

    async def story(stage: Stage) -> None:
        """Have an engine that loses a collection while it starts."""
        machine = stage.machine()
        start = machine.engine.start

        async def careless() -> None:
            """Start, and lose something."""
            await start()
            machine.engine.drop("songs")

        machine.engine.start = careless  # type: ignore[method-assign]
        before = stage.bucket.objects["HEAD"].generation
        with pytest.raises(IntegrityError):
            await machine.boot()
        head = json.loads(stage.bucket.objects["HEAD"].data)
        assert (head["epoch"], before) == (1, before)

    play(tmp_path, story)


def test_local_files_are_compared_by_their_hash(tmp_path: Path) -> None:
    """A file that lies there with the right name and size, and other bytes, is fetched again."""

    async def story(stage: Stage) -> None:
        """Restore, change a byte behind everybody's back, restore again on the same disk."""
        machine = stage.machine()
        await machine.boot()
        state = await machine.repository.head()
        assert state is not None
        for path in machine.engine.storage.rglob("a1"):
            path.write_text(path.read_text().replace("text", "tost"))
        await machine.do(machine.instance.replica.place(state.head))
        assert machine.engine.state() == stage.new

    play(tmp_path, story)


def test_a_manifest_that_was_never_committed_is_not_restored(tmp_path: Path) -> None:
    """When the newest backup is damaged, one that a dead writer left behind does not take its place."""

    async def story(stage: Stage) -> None:
        """Leave manifests behind that HEAD never named, and damage the newest."""
        older, newest = stage.bucket.committed()[-2:]
        manifest = json.loads(stage.bucket.objects[older].data)
        del manifest["collections"]["songs"]
        there = stage.bucket.objects[newest]
        for _ in range(3):
            manifest["seq"] += 2
            name = f"manifests/{manifest['epoch']:08d}-{manifest['seq']:010d}.json"
            stage.bucket.put("dead", "write_new", name, json.dumps(manifest).encode(), 0)
        stage.bucket.objects[newest] = StoredObject(b"{}", there.generation, there.crc32c)
        machine = stage.machine()
        await machine.boot()
        assert machine.engine.state() == stage.bucket.content(older)

    play(tmp_path, story)


def test_of_two_manifests_with_one_number_the_later_epoch_counts(tmp_path: Path) -> None:
    """A writer that died between manifest and HEAD leaves a number that the next epoch used: the fallback knows."""

    async def story(stage: Stage) -> None:
        """Die after the manifest; let another commit that number and one more; damage its last."""
        dead = stage.machine()
        await dead.boot()
        await dead.put("books", "d1", "text of the dead")
        dead.store.plan = lambda _number, verb, _name: Fault(FaultKind.CRASH_AFTER) if verb == "write_new" else None
        with pytest.raises(Crash):
            await dead.save()
        writer = stage.machine()
        await writer.boot()
        await writer.put("books", "e1", "text that counts")
        await writer.save()
        counts = writer.engine.state()
        await writer.put("books", "e2", "text that is damaged")
        await writer.finish()
        newest = stage.bucket.committed()[-1]
        there = stage.bucket.objects[newest]
        stage.bucket.objects[newest] = StoredObject(b"{}", there.generation, there.crc32c)
        machine = stage.machine()
        await machine.boot()
        assert machine.engine.state() == counts

    play(tmp_path, story)


def test_an_engine_that_holds_more_is_placed_again(tmp_path: Path) -> None:
    """A writer that was taken for dead does not bring back, unasked, what was lost with its term."""

    async def story(stage: Stage) -> None:
        """Write, be taken for dead, and come back when the other has ended without a backup of its own."""
        first, second = stage.machine(), stage.machine()
        await first.boot()
        await first.put("books", "l1", "lost")
        await second.boot()
        await second.finish()
        await asyncio.sleep(5)
        await must_take(first, "books", "m1")
        assert "books/0/segments/s-l/l1" not in first.engine.state()
        assert "books/0/segments/s-m/m1" in first.engine.state()

    play(tmp_path, story)


def test_prune_waits_for_a_hand_over(tmp_path: Path) -> None:
    """While an instance asks to take over, and so may be restoring, nothing is deleted."""

    async def story(stage: Stage) -> None:
        """Put a request into HEAD."""
        there = stage.bucket.objects["HEAD"]
        fields = json.loads(there.data)
        fields.pop("format")
        asked = Head(**{**fields, "requested_by": Request("newcomer", "start")})
        stage.bucket.put("newcomer", "swap", "HEAD", asked.encode(), there.generation)
        before = set(stage.bucket.objects)
        machine = stage.machine()
        policy = Policy(last=1, hourly=0, daily=0, weekly=0, grace=dt.timedelta(0))
        now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        with pytest.raises(RuntimeFailure):
            await machine.do(prune(machine.repository, policy, Progress(), now=now, dry_run=False))
        assert set(stage.bucket.objects) == before

    play(tmp_path, story)
