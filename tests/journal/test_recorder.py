"""What is recorded of a write, and who waits for whom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from runtime.edge.answers import Answer
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Refused
from runtime.edge.recording import Sent
from runtime.engine.admin import Admin
from runtime.journal.recorder import JournalRecorder
from runtime.repository.journal_object import Record
from tests.journal.stage import LINEAGE, Stage, in_virtual_time

UPSERT = Write(Effect.POINTS, "c")


class Aliases:
    """An engine that is asked for its aliases."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    async def aliases(self) -> dict[str, str]:
        """Return them."""
        return self.known


class Recording(Stage):
    """A recorder on the model store, whose backups fail as long as they are told to."""

    def __init__(self, storage: Path) -> None:
        super().__init__()
        self.backups = 0
        self.fails = 0
        self.is_alone = False
        self.admin = Aliases()
        self.recorder = JournalRecorder(
            self.journal,
            cast(Admin, self.admin),
            storage,
            alone=self._alone,
            head_seq=lambda: 1,
            wall_clock=lambda: 0.0,
        )

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Let no backup be under way."""
        self.is_alone = True
        yield self._save
        self.is_alone = False

    async def _save(self) -> None:
        """Take a backup, or fail."""
        if self.fails:
            self.fails -= 1
            raise Refused("planned", retry_after=1)
        self.backups += 1

    async def begin(self, epoch: int = 1) -> None:
        """Begin an epoch."""
        self.journal.begin(LINEAGE, epoch, "writer")
        await self.recorder.begin()

    async def write(  # type: ignore[override]
        self,
        write: Write,
        answer: Answer | None = None,
        *,
        outcome: Outcome = Outcome.APPLIED,
        held: asyncio.Event | None = None,
        until: asyncio.Event | None = None,
        body: bytes | None = b"{}",
        path: str = "/collections/c/points",
    ) -> None:
        """Let one write through, sent when it is not held any more and answered at a moment. Raises Refused."""
        stored: Awaitable[None] | None = None
        async with self.recorder.turn(write, Sent("rest", "PUT", path, body)) as turn:
            if held is not None:
                await held.wait()
            turn.send()
            if until is not None:
                await until.wait()
            if outcome is Outcome.APPLIED:
                stored = await turn.record(answer or Answer())
            else:
                turn.give_up(outcome)
        if stored is not None:
            await stored

    def records(self) -> list[Record]:
        """Return what the bucket holds, in order."""
        there = self.there()
        return [record for number in sorted(there) for record in there[number].records]

    def kinds(self) -> list[str]:
        """Return the objects' kinds, in order."""
        there = self.there()
        return [there[number].kind for number in sorted(there)]


@pytest.fixture
def recording(tmp_path: Path) -> Callable[[], Recording]:
    """Give a way to make one, in the loop that runs it."""
    return lambda: Recording(tmp_path)


def test_writes_to_a_collection_made_again_are_recorded_in_their_order(recording: Callable[[], Recording]) -> None:
    """The number that would have followed in the old collection is no reason to go before the new one's first."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        await stage.write(UPSERT, Answer((0,)))
        await stage.write(Write(Effect.REPLACE, "c"))
        first, second = asyncio.Event(), asyncio.Event()
        writes = [
            asyncio.create_task(stage.write(UPSERT, Answer((number,)), until=when))
            for number, when in ((0, first), (1, second))
        ]
        await asyncio.sleep(0)
        second.set()
        await asyncio.sleep(1)
        first.set()
        await asyncio.gather(*writes)
        assert [record.ids for record in stage.records()] == [(0,), (), (0,), (1,)]

    in_virtual_time(story())


def test_writes_that_a_backup_held_back_are_recorded_in_their_order(recording: Callable[[], Recording]) -> None:
    """They have their turns before they go to the engine, and one to another collection comes between."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        await stage.write(UPSERT, Answer((0,)))
        over, first, second = asyncio.Event(), asyncio.Event(), asyncio.Event()
        writes = [
            asyncio.create_task(stage.write(write, answer, held=over, until=until))
            for write, answer, until in (
                (UPSERT, Answer((1,)), first),
                (Write(Effect.POINTS, "d"), Answer((0,)), second),
                (UPSERT, Answer((2,)), second),
            )
        ]
        await asyncio.sleep(1)
        over.set()
        await asyncio.sleep(1)
        second.set()
        await asyncio.sleep(1)
        first.set()
        await asyncio.gather(*writes)
        assert [record.ids for record in stage.records() if record.collection == "c"] == [(0,), (1,), (2,)]

    in_virtual_time(story())


@pytest.mark.parametrize("effect", [Effect.POINTS, Effect.SCHEMA, Effect.REPLACE, Effect.CATALOG])
def test_a_denied_write_is_not_recorded(recording: Callable[[], Recording], effect: Effect) -> None:
    """It would be done again with all rights; a refused one is recorded, to be refused again."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        await stage.write(Write(effect, "c"), outcome=Outcome.DENIED)
        await stage.write(UPSERT, Answer((0,)))
        await stage.write(Write(effect, "c"), outcome=Outcome.REFUSED)
        await stage.write(UPSERT, Answer((2,)))
        assert [(record.effect, record.applied) for record in stage.records()] == [
            ("points", True),
            (effect.value, False),
            ("points", True),
        ]
        assert stage.backups == 0

    in_virtual_time(story())


@pytest.mark.parametrize(
    ("effect", "shards", "backups"), [(Effect.BATCH, 1, 1), (Effect.POINTS, 2, 1), (Effect.POINTS, 1, 0)]
)
def test_what_was_limited_half_way_is_in_a_backup(
    recording: Callable[[], Recording], tmp_path: Path, effect: Effect, shards: int, backups: int
) -> None:
    """A part of a batch, or the part of one shard, may be applied, which nothing else would tell."""
    for shard in range(shards):
        (tmp_path / "collections" / "c" / str(shard)).mkdir(parents=True)

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        await stage.write(Write(effect, "c"), outcome=Outcome.LIMITED)
        await stage.write(UPSERT, Answer((2,)))
        assert stage.kinds() == ["opaque"] * backups + ["records"]
        assert stage.backups == backups

    in_virtual_time(story())


def test_nobody_writes_between_the_tries_of_the_backup_that_is_waited_for(
    recording: Callable[[], Recording],
) -> None:
    """After a write without an answer the next one is recorded behind the backup, however often that failed."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        stage.fails = 5
        await stage.write(UPSERT, outcome=Outcome.UNANSWERED)
        await stage.write(UPSERT, Answer((2,)))
        assert (stage.backups, stage.fails) == (1, 0)
        assert stage.kinds()[-1] == "records"
        assert set(stage.kinds()[:-1]) == {"opaque"}

    in_virtual_time(story())


def test_who_waits_in_line_does_not_go_before_the_backup(recording: Callable[[], Recording]) -> None:
    """A write that waited for one without an answer is behind the backup, too: it may rest on what that one did."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        ended = asyncio.Event()
        first = asyncio.create_task(stage.write(Write(Effect.REPLACE, "c"), outcome=Outcome.UNANSWERED, until=ended))
        await asyncio.sleep(1)
        behind = asyncio.create_task(stage.write(UPSERT, Answer((0,))))
        await asyncio.sleep(1)
        ended.set()
        await asyncio.gather(first, behind)
        assert stage.kinds() == ["opaque", "records"]
        assert stage.backups == 1

    in_virtual_time(story())


def test_others_wait_for_the_backup_of_what_could_not_be_recorded(recording: Callable[[], Recording]) -> None:
    """A recovered snapshot whose backup fails is refused, and no other write goes on before one holds it."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        stage.fails = 3
        with pytest.raises(Refused, match="planned"):
            await stage.write(Write(Effect.RECOVER, "c"))
        await stage.write(UPSERT, Answer((2,)))
        assert (stage.backups, stage.fails) == (1, 0)
        assert stage.kinds()[-1] == "records"

    in_virtual_time(story())


def test_an_answer_from_before_a_hand_over_is_not_recorded_after_it(recording: Callable[[], Recording]) -> None:
    """The engine was placed afresh meanwhile: it does not hold that write."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        answered = asyncio.Event()
        write = asyncio.create_task(stage.write(UPSERT, Answer((7,)), until=answered))
        await asyncio.sleep(1)
        stage.journal.abandon()
        stage.recorder.forget()
        await stage.begin(epoch=2)
        answered.set()
        with pytest.raises(Refused, match="changed hands"):
            await write
        await stage.journal.close(seconds=10)
        assert all(not entry.records for entry in stage.there(2).values())

    in_virtual_time(story())


def test_a_write_by_an_alias_is_recorded_for_its_collection(recording: Callable[[], Recording]) -> None:
    """And for another one as soon as the alias was moved."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        stage.admin.known = {"alias": "c"}
        await stage.begin()
        await stage.write(Write(Effect.POINTS, "alias"), Answer((0,)))
        stage.admin.known = {"alias": "d"}
        await stage.write(Write(Effect.CATALOG))
        await stage.write(Write(Effect.POINTS, "alias"), Answer((0,)))
        assert [record.collection for record in stage.records()] == ["c", None, "d"]

    in_virtual_time(story())


@pytest.mark.parametrize("effect", [Effect.RECOVER, Effect.UNKNOWN])
def test_what_cannot_be_done_again_is_recorded_while_no_backup_is_under_way(
    recording: Callable[[], Recording], effect: Effect
) -> None:
    """Then it is backed up, and acknowledged: a backup from before it is never taken for the one that holds it."""

    async def story() -> None:
        """Tell it."""
        stage = recording()
        await stage.begin()
        alone: list[bool] = []

        def plan(_number: int, verb: str, _name: str) -> None:
            """Note whether a backup could be under way."""
            if verb == "write_new":
                alone.append(stage.is_alone)

        stage.store.plan = plan
        await stage.write(Write(effect, "c"))
        assert (alone, stage.kinds(), stage.backups) == ([True], ["opaque"], 1)

    in_virtual_time(story())
