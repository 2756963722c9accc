import asyncio

import pytest

from runtime.composition import Base
from runtime.journal.estimate import Estimate
from runtime.journal.replay import Replayed
from runtime.journal.writer import Journal, Load
from runtime.repository.journal_object import Record
from runtime.repository.repository import Repository
from runtime.writing import Writing
from tests.support.model_store import ModelStore
from tests.support.writers import AGE, SETTINGS, Stage, on_stage


def record() -> Record:
    """Return one of a small write."""
    return Record("a", "points", "shared", "rest", "PUT", "/", (1,), applied=True, at=0, body=b"{}")


async def journaled(stage: Stage) -> Journal:
    """Give the writer on the stage a journal, instead of none."""
    journal = Journal(Repository(ModelStore(stage.bucket)), linger_seconds=0, patience_seconds=1)
    journal.begin("lineage", 1, "a")
    stage.writing = Writing(SETTINGS, stage.gate, stage.lineage, stage.backups, journal)
    stage.writing.begin(Base(None, None, stage.gate.written()), ())
    return journal


def test_a_backup_is_taken_before_a_replay_would_take_too_long() -> None:
    """At one write a second and a second a record: after REPLAY_TARGET_SECONDS, long before the age asks for it."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        journal = await journaled(stage)
        running = asyncio.create_task(stage.writing.run())
        stage.writing.estimate.learn(Replayed(records=1, records_done=1000, seconds=1000.0))
        for second in range(90):
            await stage.until(second)
            journal.append(record())
            await stage.write()
        running.cancel()
        journal.abandon()
        target = SETTINGS.replay_target_seconds
        assert stage.times == [pytest.approx(target - 1 + n * target, abs=1.1) for n in range(len(stage.times))]
        assert len(stage.times) >= 90 // (target + 1)
        assert target < AGE / 2

    on_stage(story, scheduled=False)


def test_what_was_replayed_counts_until_a_backup_holds_it() -> None:
    """An instance that starts from an old backup would do as much again at its next start."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        journal = await journaled(stage)
        stage.writing.begin(stage.writing.base, (), Replayed(records=70, records_done=70, bytes=7))
        assert stage.writing.to_replay == Load(70, 7)
        journal.append(record())
        await stage.write()
        assert stage.writing.to_replay == Load(71, 9)
        await stage.writing.save("test")
        assert stage.writing.to_replay == Load(0, 0)
        journal.abandon()

    on_stage(story, scheduled=False)


def test_the_last_replay_corrects_the_estimate() -> None:
    """What took five times as long is expected to do so again; a replay too short to tell changes nothing."""
    estimate = Estimate()
    load = Load(5000, 10_000_000)
    plain = estimate.seconds(load)
    estimate.learn(Replayed(records_done=5000, bytes=10_000_000, seconds=5 * plain))
    assert estimate.seconds(load) == pytest.approx(5 * plain)
    estimate.learn(Replayed(records_done=1, seconds=0.1))
    assert estimate.seconds(load) == pytest.approx(5 * plain)
