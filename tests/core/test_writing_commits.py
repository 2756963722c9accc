import asyncio
import contextlib

import pytest

from runtime.composition import Base
from runtime.errors import IntegrityError, NotTheWriter, StoreUnreachable
from tests.support.manifests import manifest_name
from tests.support.model_store import FaultKind
from tests.support.writers import Stage, on_stage


def test_nothing_new_is_no_commit() -> None:
    """A backup that found nothing to save leaves HEAD, but what was written by then is not looked at again."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        stage.backups.nothing_new = True
        await stage.write()
        await stage.until(100)
        assert (stage.head().seq, stage.writing.unsaved_count, stage.writing.last) == (0, 0, None)
        assert stage.times == [5]

    on_stage(story)


def test_a_last_backup_lets_the_lineage_go() -> None:
    """`clean` is said with the commit, or by itself when there is nothing to commit."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        await stage.write()
        saved = await stage.writing.save("shutdown", clean=True, must=True)
        assert saved.manifest == manifest_name(1, 1)
        assert (stage.head().clean, stage.head().seq) == (True, 1)
        assert stage.backups.taken[-1][3]

    async def idle(stage: Stage) -> None:
        """Tell it."""
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
        """Tell it."""
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
        """Tell it."""
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
        """Tell it."""
        stage.writing.begin(Base(None, None, stage.gate.written()), ("manifests/damaged.json",))
        await asyncio.sleep(0.001)
        assert stage.times == [0]
        await stage.write()
        await stage.until(100)
        assert [position.skipped for _, _, position, _ in stage.backups.taken] == [("manifests/damaged.json",), ()]

    on_stage(story)


def test_backups_are_taken_one_at_a_time() -> None:
    """Two that are asked for at once follow each other; the second starts from the first."""

    async def story(stage: Stage) -> None:
        """Tell it."""
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
        """Tell it."""
        stage.lineage.stand_by()
        with pytest.raises(NotTheWriter):
            await stage.writing.save("api")
        assert stage.times == []

    on_stage(story, scheduled=False)
