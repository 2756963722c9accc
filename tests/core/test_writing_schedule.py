import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.backup import Busy
from runtime.errors import EngineError, StoreUnreachable
from runtime.lineage import Lineage
from runtime.repository.repository import Repository
from tests.support.model_store import ModelStore
from tests.support.writers import AGE, QUIET, Stage, on_stage


def test_a_backup_follows_the_last_write() -> None:
    """BACKUP_QUIET_SECONDS after the last of a few writes, once, and not again without another write."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        for when in (1, 3, 7):
            await stage.until(when)
            await stage.write()
        await stage.until(1000)
        assert stage.times == [7 + QUIET]
        assert stage.writing.schedule.unsaved_since is None
        assert stage.writing.unsaved_count == 0
        await stage.write()
        await stage.until(2000)
        assert stage.times == [12, 1005]
        assert stage.head().seq == 2

    on_stage(story)


def test_writes_that_never_stop_are_saved_in_time() -> None:
    """With a write every second each is in a backup within BACKUP_MAX_AGE_SECONDS."""

    async def story(stage: Stage) -> None:
        """Tell it."""
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
        """Tell it."""
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
        """Tell it."""
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
        """Tell it."""
        stage.backups.errors = [Busy(), Busy()]
        await stage.write()
        await stage.until(100)
        assert stage.times == [5, 5.2, 5.4]
        assert stage.writing.failures == 0

    on_stage(story)


def test_one_that_is_not_the_writer_waits_for_the_next_write() -> None:
    """After a fence the schedule does not spin: nothing is tried until something is written."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        other = Lineage(
            Repository(ModelStore(stage.bucket, "b")), "b", timeout_seconds=10, outage="refuse", clock=lambda: 0.0
        )
        await stage.write()
        state = await other.look()
        assert state is not None
        await other.claim(state)
        await stage.until(1000)
        assert stage.times == [5]
        assert stage.writing.schedule.is_resting
        assert stage.writing.unsaved_count == 1
        assert stage.writing.failures == 0
        assert stage.head().seq == 0

    on_stage(story)


def test_writes_during_a_backup_are_for_the_next() -> None:
    """What came after the barrier is unsaved, and as old as the backup's beginning."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        stage.backups.seconds = 4.0
        await stage.write()
        await stage.until(7)
        await stage.write()
        await stage.until(9.5)
        assert (stage.writing.unsaved_count, stage.writing.schedule.unsaved_since) == (1, 5.0)
        await stage.until(100)
        assert stage.times == [5, 12]
        assert stage.writing.unsaved_count == 0

    on_stage(story)
