"""How far an instance that does not write goes along with the journal."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast

import pytest

from runtime.errors import EngineError
from runtime.follower import CannotFollow, Follower
from runtime.journal.requests import Call
from runtime.replica import Placed, Replica
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque
from runtime.selection import Choice
from runtime.settings import Settings
from tests.journal.stage import LINEAGE, Stage, in_virtual_time, seal, written

HEAD = Head(LINEAGE, 1, "writer", 1, "manifests/00000001-0000000001.json", "", clean=False, requested_by=None)


class Sender:
    """An engine that notes what it is sent, and may fail at it."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.failure: Exception | None = None
        self.failure_at_the_end: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.failure_at_the_end is not None:
            raise self.failure_at_the_end

    async def send(self, call: Call) -> None:
        """Do it."""
        if self.failure is not None:
            raise self.failure
        self.done += [entry.record.ids[0] for entry in call.entries]


class Following(Stage):
    """A follower of the stage's journal, at its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.sender = Sender()
        settings = Settings.from_env({"BACKUP_URL": "file:///backups"})
        self.replica = Replica(settings, cast(Any, None), self.repository, cast(Any, None))
        self.replica.placed = Placed(Choice(None, None), 0, 0, 0.0)
        self.replica.position = JournalPosition(1, -1)
        self.follower = Follower(
            self.repository, self.replica, "reader", sender=lambda: self.sender, note=lambda _: None
        )
        self.commit(HEAD)

    def opaque(self, number: int, seq: int = 1) -> None:
        """Put a change there that cannot be done again."""
        change = Opaque("POST /collections/c/snapshots/recover", seq)
        self.put(JournalObject(JournalPosition(1, number), LINEAGE, "opaque", "writer", opaque=change))

    def commit(self, head: Head) -> None:
        """Let HEAD be this one."""
        there = self.bucket.objects.get(names.HEAD)
        self.bucket.put("writer", "swap", names.HEAD, head.encode(), there.generation if there else 0)

    def backup(self, epoch: int, seq: int) -> Head:
        """Commit a backup; return HEAD."""
        name = names.manifest(names.backup_id(epoch, seq))
        self.bucket.put("writer", "write_new", name, b"{}", 0)
        head = replace(HEAD, epoch=epoch, seq=seq, manifest=name, manifest_sha256="0" * 64)
        self.commit(head)
        return head

    @property
    def at(self) -> tuple[int, int] | None:
        """How far it is."""
        position = self.replica.position
        return None if position is None else (position.epoch, position.n)


def following(story: Callable[[Following], Any]) -> None:
    """Tell a story of a follower."""

    async def tell() -> None:
        """Tell it, in the loop."""
        await story(Following())

    in_virtual_time(tell())


def test_nothing_behind_a_hole_is_done() -> None:
    """What is missing may be sealed off yet; when it has come, everything is done in order."""

    async def story(stage: Following) -> None:
        """Tell it."""
        for number in (0, 1, 3):
            stage.put(written(1, number, b"{}"))
        await stage.follower.step(HEAD)
        assert (stage.at, len(stage.sender.done)) == ((1, 1), 2)
        stage.put(written(1, 2, b"{}"))
        await stage.follower.step(HEAD)
        assert (stage.at, len(stage.sender.done)) == ((1, 3), 4)

    following(story)


def test_it_waits_where_only_a_backup_can_tell() -> None:
    """An opaque change is not passed over before its epoch ended without a backup of it."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.put(written(1, 0, b"{}"))
        stage.opaque(1)
        await stage.follower.step(HEAD)
        assert stage.at == (1, 0)
        stage.put(written(1, 2, b"{}"))
        await stage.follower.step(HEAD)
        assert stage.at == (1, 0)
        stage.put(seal(1, 3))
        await stage.follower.step(HEAD)
        assert stage.at == (2, -1)
        assert len(stage.sender.done) == 2

    following(story)


def test_it_does_not_go_on_beside_a_backup_that_holds_more() -> None:
    """Once a backup holds the opaque change, that one has to be placed; a pruned one leaves it open, which is a no."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.opaque(0)
        head = stage.backup(1, 2)
        with pytest.raises(CannotFollow):
            await stage.follower.step(head)
        later = stage.backup(2, 4)
        del stage.bucket.objects[head.manifest or ""]
        with pytest.raises(CannotFollow):
            await stage.follower.step(later)
        assert stage.at == (1, -1)


def test_a_backup_of_the_next_epoch_with_the_next_number_says_that_none_was_taken() -> None:
    """Numbers have no gaps, so the opaque change was made by a writer that ended before its backup."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.opaque(0)
        stage.put(seal(1, 1))
        await stage.follower.step(stage.backup(2, 2))
        assert stage.at == (2, -1)

    following(story)


def test_a_backup_committed_since_head_was_read_is_seen_before_its_change_is_passed_over() -> None:
    """The HEAD that a step is given may be older than the seal; the one behind the seal tells."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.opaque(0)
        stage.backup(1, 2)
        stage.put(seal(1, 1))
        with pytest.raises(CannotFollow):
            await stage.follower.step(HEAD)
        assert stage.at == (1, -1)

    following(story)


def test_who_cannot_follow_is_not_level() -> None:
    """While no backup was placed it falls behind, and says so."""

    async def story(stage: Following) -> None:
        """Tell it."""
        await stage.follower.step(HEAD)
        level = stage.follower.level_at
        assert level is not None
        stage.replica.opened_for_writes()
        stage.put(written(1, 0, b"{}"))
        await asyncio.sleep(5)
        await stage.follower.step(HEAD)
        assert stage.follower.level_at == level

    following(story)


def test_an_engine_that_is_not_left_as_it_was_is_not_built_upon() -> None:
    """Its limits may be lifted still: a backup brings them back."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.put(written(1, 0, b"{}"))
        stage.sender.failure_at_the_end = EngineError("planned")
        with suppress(EngineError):
            await stage.follower.step(HEAD)
        assert stage.at is None

    following(story)


def test_what_was_done_in_part_is_not_built_upon() -> None:
    """After a failure in the middle nobody knows what the engine holds: it counts as written to."""

    async def story(stage: Following) -> None:
        """Tell it."""
        stage.put(written(1, 0, b"{}"))
        stage.sender.failure = RuntimeError("planned")
        with suppress(RuntimeError):
            await stage.follower.step(HEAD)
        assert stage.at is None
        assert not stage.replica.holds(HEAD.manifest)

    following(story)
