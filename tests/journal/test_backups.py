"""Backups beside the journal: never ahead of it, and none before it was replayed."""

import asyncio
from dataclasses import replace

import pytest

from runtime.composition import Base, Position, Taken
from runtime.errors import NotTheWriter, StoreUnreachable
from runtime.journal.writer import Journal
from runtime.repository import names
from runtime.repository.head import Head
from runtime.writing import Writing
from tests.journal.stage import record
from tests.support.model_store import Fault, FaultKind
from tests.support.writers import SETTINGS, ScriptedBackups, Stage, on_stage


class JournalingBackups(ScriptedBackups):
    """Takes backups that contain the journal up to the moment they were taken."""

    journal: Journal

    async def take(self, base: Base, position: Position, *, must: bool, settles: bool = False) -> Taken:  # noqa: ARG002 - as the real one
        """Take one."""
        taken = await super().take(base, position, must=must)
        assert taken.manifest is not None
        return replace(taken, manifest=replace(taken.manifest, journal=self.journal.position()))


def _journaled(stage: Stage) -> tuple[Journal, Writing]:
    """Return a journal and a writer's work beside it, begun."""
    journal = Journal(stage.lineage.repository, linger_seconds=0.002, patience_seconds=10)
    journal.begin(Head.decode(stage.bucket.objects[names.HEAD].data).lineage, 1, "a")
    backups = JournalingBackups(stage.gate)
    backups.journal = journal
    writing = Writing(SETTINGS, stage.gate, stage.lineage, backups, journal)
    writing.begin(Base(None, None, stage.gate.written()), ())
    return journal, writing


def test_a_backup_is_not_committed_ahead_of_the_journal() -> None:
    """While an object up to its position is not in the bucket HEAD does not name it; later it does."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        journal, writing = _journaled(stage)
        stage.lineage.repository.store.plan = lambda _number, verb, name: (  # type: ignore[attr-defined]
            Fault(FaultKind.FAIL_BEFORE) if verb == "write_new" and name.startswith("journal/") else None
        )
        stored = journal.append(record(0))
        with pytest.raises(StoreUnreachable, match="journal"):
            await writing.save("test")
        assert (stage.head().seq, stored.done()) == (0, False)
        stage.lineage.repository.store.plan = stage.faults  # type: ignore[attr-defined]
        await writing.save("test")
        assert (stage.head().seq, stored.done()) == (1, True)
        journal.abandon()

    on_stage(story, scheduled=False)


def test_nothing_is_saved_between_a_claim_and_the_opening() -> None:
    """The engine may not hold yet what the journal holds: a backup would cut that off."""

    async def story(stage: Stage) -> None:
        """Tell it."""
        journal, writing = _journaled(stage)
        journal.abandon()
        stage.lineage.stand_by()
        state = await stage.lineage.look()
        assert state is not None
        await stage.lineage.claim(state)
        await stage.write()
        for each in (writing, stage.writing):
            with pytest.raises(NotTheWriter):
                await each.save("api")
        assert stage.head().seq == 0
        await asyncio.sleep(100)
        assert stage.head().seq == 0

    on_stage(story)
