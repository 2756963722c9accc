import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.backup import Busy
from runtime.composition import Base, Position, Taken
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate
from runtime.errors import EngineError, IntegrityError, NotTheWriter, StoreUnreachable
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing
from tests.support import manifests
from tests.support.faults import Faults
from tests.support.manifests import manifest_name
from tests.support.model_store import FaultKind, ModelBucket, ModelStore
from tests.support.virtual_time import run as run_virtually

T = TypeVar("T")

QUIET, AGE = 5.0, 60.0
SETTINGS = Settings.from_env({"BACKUP_URL": "file:///backups"})


class ScriptedBackups:
    """Takes backups of nothing, each in so many seconds, or raises what is planned."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.seconds = 0.0
        self.errors: list[Exception] = []
        self.nothing_new = False
        self.taken: list[tuple[float, Base, Position, bool]] = []
        self.running = 0

    async def take(self, base: Base, position: Position, *, must: bool) -> Taken:
        """Take one, of what is written at its beginning."""
        assert self.running == 0
        self.running += 1
        try:
            self.taken.append((asyncio.get_running_loop().time(), base, position, must))
            written = self._gate.written()
            await asyncio.sleep(self.seconds)
            if self.errors:
                raise self.errors.pop(0)
            manifest = manifests.manifest(
                position.epoch, position.seq, lineage=position.lineage, skipped=position.skipped, parent=base.name
            )
            return Taken(None if self.nothing_new else manifest, written, ("a",), 10, 5, 0.01)
        finally:
            self.running -= 1


class Stage:
    """A writer with a gate, in virtual time, and what it committed when."""

    def __init__(self) -> None:
        self.bucket = ModelBucket()
        self.faults = Faults()
        self.gate = Gate()
        self.gate.admit()
        self.lineage = Lineage(
            Repository(ModelStore(self.bucket, "a", plan=self.faults)),
            "a",
            timeout_seconds=10,
            outage="refuse",
            clock=asyncio.get_running_loop().time,
        )
        self.backups = ScriptedBackups(self.gate)
        self.writing = Writing(SETTINGS, self.gate, self.lineage, self.backups)

    @property
    def now(self) -> float:
        """Return the time."""
        return asyncio.get_running_loop().time()

    @property
    def times(self) -> list[float]:
        """Return when backups were taken."""
        return [round(when, 3) for when, *_ in self.backups.taken]

    async def write(self) -> None:
        """Let one write through."""
        await self.gate.enter()
        self.gate.leave(Write(Effect.POINTS, "a"), Outcome.APPLIED)

    async def until(self, when: float) -> None:
        """Wait until a moment."""
        await asyncio.sleep(max(0.0, when - self.now))

    def head(self) -> Head:
        """Return HEAD as it is in the bucket."""
        return Head.decode(self.bucket.objects[names.HEAD].data)


def on_stage(story: Callable[[Stage], Awaitable[T]], *, scheduled: bool = True) -> T:
    """Run a story with a writer that has just made its lineage, and whose schedule runs."""

    async def tell() -> T:
        """Tell it."""
        stage = Stage()
        await stage.lineage.create()
        task = asyncio.create_task(stage.writing.run()) if scheduled else None
        try:
            return await story(stage)
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    return run_virtually(tell())


def test_a_backup_follows_the_last_write() -> None:
    """BACKUP_QUIET_SECONDS after the last of a few writes, once, and not again without another write."""

    async def story(stage: Stage) -> None:
        for when in (1, 3, 7):
            await stage.until(when)
            await stage.write()
        await stage.until(1000)
        assert stage.times == [7 + QUIET]
        assert stage.writing.unsaved_since is None
        assert stage.writing.unsaved_count == 0
        await stage.write()
        await stage.until(2000)
        assert stage.times == [12, 1005]
        assert stage.head().seq == 2

    on_stage(story)


def test_writes_that_never_stop_are_saved_in_time() -> None:
    """With a write every second each is in a backup within BACKUP_MAX_AGE_SECONDS."""

    async def story(stage: Stage) -> None:
        for second in range(300):
            await stage.until(second)
            await stage.write()
        gaps = [later - earlier for earlier, later in zip([0, *stage.times], stage.times, strict=False)]
        assert all(gap <= AGE for gap in gaps)
        assert len(stage.times) <= 6

    on_stage(story)


@settings(max_examples=60)
@given(
    gaps=st.lists(st.floats(0, 90), min_size=1, max_size=30),
    seconds=st.floats(0, AGE / 10),
)
def test_no_write_gets_older_than_promised(gaps: list[float], seconds: float) -> None:
    """Whatever the rhythm of writes, and however long a backup takes within reason, each is saved in time."""

    async def story(stage: Stage) -> None:
        stage.backups.seconds = seconds
        written: list[float] = []
        saved = 0

        def note_saved() -> None:
            """Check what has been saved by now."""
            nonlocal saved
            done = stage.writing.base.written.total
            assert all(stage.now - when <= AGE + 1e-6 for when in written[saved:done])
            saved = done
            assert all(stage.now - when <= AGE + 1e-6 for when in written[saved:])

        for gap in [*gaps, *[1.0] * 130]:
            end = stage.now + gap
            while stage.now < end:
                await asyncio.sleep(min(1.0, end - stage.now))
                note_saved()
            if len(written) < len(gaps):
                written.append(stage.now)
                await stage.write()
        assert saved == len(written)

    on_stage(story)


def test_a_failed_backup_is_tried_again_less_and_less_often() -> None:
    """After 1, 2, 4 … at most 30 seconds, as long as it takes; what failed last is told until one succeeds."""

    async def story(stage: Stage) -> None:
        stage.backups.errors = [EngineError("the engine fails")] * 7
        await stage.write()
        await stage.until(60)
        assert "the engine fails" in str(stage.writing.last_error)
        await stage.until(200)
        waits = [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]
        assert waits == [1, 2, 4, 8, 16, 30, 30]
        assert (stage.writing.failures, stage.writing.last_error) == (7, None)
        assert stage.writing.unsaved_count == 0
        stage.backups.errors = [StoreUnreachable("the store fails")]
        await stage.write()
        await stage.until(300)
        assert stage.times[-1] - stage.times[-2] == 1

    on_stage(story)


def test_a_busy_moment_is_no_failure() -> None:
    """Writes that did not end in time: tried again at once, and not counted as failed."""

    async def story(stage: Stage) -> None:
        stage.backups.errors = [Busy(), Busy()]
        await stage.write()
        await stage.until(100)
        assert stage.times == [5, 5.2, 5.4]
        assert stage.writing.failures == 0

    on_stage(story)


def test_one_that_is_not_the_writer_waits_for_the_next_write() -> None:
    """After a fence the schedule does not spin: nothing is tried until something is written."""

    async def story(stage: Stage) -> None:
        other = Lineage(
            Repository(ModelStore(stage.bucket, "b")), "b", timeout_seconds=10, outage="refuse", clock=lambda: 0.0
        )
        await stage.write()
        state = await other.look()
        assert state is not None
        await other.claim(state)
        await stage.until(1000)
        assert stage.times == [5]
        assert stage.writing.unsaved_count == 1
        assert stage.writing.failures == 0
        assert stage.head().seq == 0

    on_stage(story)


def test_nothing_new_is_no_commit() -> None:
    """A backup that found nothing to save leaves HEAD, but what was written by then is not looked at again."""

    async def story(stage: Stage) -> None:
        stage.backups.nothing_new = True
        await stage.write()
        await stage.until(100)
        assert (stage.head().seq, stage.writing.unsaved_count, stage.writing.last) == (0, 0, None)
        assert stage.times == [5]

    on_stage(story)


def test_a_last_backup_lets_the_lineage_go() -> None:
    """`clean` is said with the commit, or by itself when there is nothing to commit."""

    async def story(stage: Stage) -> None:
        await stage.write()
        saved = await stage.writing.save("shutdown", clean=True, must=True)
        assert saved.manifest == manifest_name(1, 1)
        assert (stage.head().clean, stage.head().seq) == (True, 1)
        assert stage.backups.taken[-1][3]

    async def idle(stage: Stage) -> None:
        stage.backups.nothing_new = True
        saved = await stage.writing.save("shutdown", clean=True)
        assert saved.manifest is None
        assert (stage.head().clean, stage.head().seq) == (True, 0)

    on_stage(story, scheduled=False)
    on_stage(idle, scheduled=False)


@pytest.mark.parametrize("verb", ["write_new", "swap"])
@pytest.mark.parametrize("kind", [FaultKind.FAIL_BEFORE, FaultKind.FAIL_AFTER])
def test_a_commit_left_half_way_is_finished_and_built_upon(verb: str, kind: FaultKind) -> None:
    """The next backup starts from the one that was pending, with the next number: no gap, nothing saved twice."""

    async def story(stage: Stage) -> None:
        await stage.write()
        stage.faults.next(verb, kind)
        with contextlib.suppress(StoreUnreachable):
            await stage.writing.save("change")
        await stage.write()
        saved = await stage.writing.save("change")
        assert saved.manifest == manifest_name(1, 2)
        _, base, position, _ = stage.backups.taken[-1]
        assert (base.name, position.seq, base.written.total) == (manifest_name(1, 1), 2, 1)
        assert stage.writing.base.written.total == 2

    on_stage(story, scheduled=False)


def test_what_does_not_fit_is_taken_anew() -> None:
    """After an IntegrityError the next backup asks for everything, on top of the same parent."""

    async def story(stage: Stage) -> None:
        await stage.writing.save("change")
        stage.backups.errors = [IntegrityError("a file is nowhere")]
        await stage.write()
        await stage.until(100)
        bases = [base for _, base, _, _ in stage.backups.taken]
        assert [base.manifest is None for base in bases] == [True, False, True]
        assert [base.name for base in bases] == [None, manifest_name(1, 1), manifest_name(1, 1)]
        assert stage.writing.unsaved_count == 0

    on_stage(story)


def test_damage_that_was_passed_over_is_recorded_soon_and_once() -> None:
    """A start from an older backup is committed at once, with what was skipped; later backups do not repeat it."""

    async def story(stage: Stage) -> None:
        stage.writing.begin(Base(None, None, stage.gate.written()), ("manifests/damaged.json",))
        await asyncio.sleep(0.001)
        assert stage.times == [0]
        await stage.write()
        await stage.until(100)
        assert [position.skipped for _, _, position, _ in stage.backups.taken] == [("manifests/damaged.json",), ()]

    on_stage(story)


def test_writes_during_a_backup_are_for_the_next() -> None:
    """What came after the barrier is unsaved, and as old as the backup's beginning."""

    async def story(stage: Stage) -> None:
        stage.backups.seconds = 4.0
        await stage.write()
        await stage.until(7)
        await stage.write()
        await stage.until(9.5)
        assert (stage.writing.unsaved_count, stage.writing.unsaved_since) == (1, 5.0)
        await stage.until(100)
        assert stage.times == [5, 12]
        assert stage.writing.unsaved_count == 0

    on_stage(story)


def test_backups_are_taken_one_at_a_time() -> None:
    """Two that are asked for at once follow each other; the second starts from the first."""

    async def story(stage: Stage) -> None:
        stage.backups.seconds = 3.0
        await stage.write()
        saved = await asyncio.gather(stage.writing.save("api"), stage.writing.save("api"))
        assert [one.manifest for one in saved] == [manifest_name(1, 1), manifest_name(1, 2)]
        assert [base.name for _, base, _, _ in stage.backups.taken] == [None, manifest_name(1, 1)]
        assert stage.times == [0, 3]

    on_stage(story, scheduled=False)


def test_saving_without_the_lineage_is_refused() -> None:
    """An instance that is not the writer takes no backup at all."""

    async def story(stage: Stage) -> None:
        stage.lineage.stand_by()
        with pytest.raises(NotTheWriter):
            await stage.writing.save("api")
        assert stage.times == []

    on_stage(story, scheduled=False)
