"""Between the gate and the journal: each write's turn, its record, and what cannot be recorded as it was sent.

Owns what is written down of a write. What the journal cannot do again (a recovered snapshot, a route that nobody
knows, a body too large to keep) is acknowledged only with a backup that holds it; after a write that has no answer
others wait for one, since nobody knows what the engine holds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from runtime.edge.answers import Answer
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Refused
from runtime.edge.recording import Sent
from runtime.engine import storage as layout
from runtime.engine.admin import Admin
from runtime.errors import EngineError
from runtime.journal.budget import Budget
from runtime.journal.order import Sequence
from runtime.journal.settling import Settling
from runtime.journal.turns import Granted, Turns
from runtime.journal.writer import Journal
from runtime.repository.journal_object import Opaque, Record

# Qdrant itself takes no JSON above 32 MiB; a larger message by gRPC is not kept.
LARGEST_BODY: Final = 34 * 1024 * 1024
_MOST_KEPT: Final = 16 * 1024 * 1024
_NUMBERED: Final = frozenset({Effect.POINTS, Effect.BATCH, Effect.SCHEMA})
_NOT_REPEATABLE: Final = frozenset({Effect.RECOVER, Effect.UNKNOWN})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

Save = Callable[[], Awaitable[None]]


def _wall_clock() -> float:
    return time.time()


class JournalRecorder:
    """Records the gate's writes.

    `alone` lets no backup be under way but the one asked for by what it yields; `head_seq` returns HEAD's number as
    last seen. `only` names the collections that are kept, if not all are: writes to others are not recorded, as no
    backup holds them.
    """

    largest_body = LARGEST_BODY

    def __init__(
        self,
        journal: Journal,
        admin: Admin,
        storage: Path,
        *,
        alone: Callable[[], AbstractAsyncContextManager[Save]],
        head_seq: Callable[[], int],
        only: Collection[str] = (),
        wall_clock: Callable[[], float] = _wall_clock,
    ) -> None:
        self.journal = journal
        self._admin = admin
        self._storage = storage
        self._alone = alone
        self._head_seq = head_seq
        self._only = frozenset(only)
        self._wall_clock = wall_clock
        self._budget = Budget(_MOST_KEPT)
        self._turns = Turns(self._meaning, self._has_many_shards)
        self._sequences: dict[str, Sequence] = {}
        self._aliases: dict[str, str] = {}
        self._many_shards: dict[str, bool] = {}
        self.settling = Settling(journal, self._turns, self._back_up)

    async def take(self, size: int) -> None:
        """Count bytes of a body that is kept. Raises Refused."""
        await self._budget.take(size)

    def give(self, size: int) -> None:
        """Count them no more."""
        self._budget.give(size)

    def keeps(self, write: Write) -> bool:
        """Whether a write is recorded: it is not when it names a collection that is in no backup."""
        return not self._only or write.collection is None or write.collection in self._only

    @property
    def is_unsettled(self) -> bool:
        """Whether a write without an answer is not in a backup of its own yet."""
        return self.settling.is_under_way

    async def begin(self) -> None:
        """Get to know an engine whose writes are recorded from now on. Raises EngineError."""
        self._sequences = {}  # another engine numbers its writes anew
        await self.learn()

    async def learn(self) -> None:
        """Ask the engine what names mean, after they were changed. Raises EngineError."""
        self._forget_idle()  # what was made anew numbers its writes anew
        self._many_shards.clear()
        self._aliases = await self._admin.aliases()

    def forget(self) -> None:
        """Stop settling: what the engine holds is not this instance's to save any more."""
        self.settling.stop()

    @asynccontextmanager
    async def turn(self, write: Write, sent: Sent) -> AsyncIterator["RecordedTurn"]:
        """Hold a write's turn; what cannot be recorded is in a backup when the block has ended. Raises Refused."""
        while True:
            await self.settling.over()
            async with self._turns.turn(write, alone=sent.body is None) as granted, AsyncExitStack() as backup:
                if self.settling.is_under_way:
                    continue  # who had the turn before has no answer
                turn = RecordedTurn(self, granted, sent, backup)
                yield turn
                if turn.save is not None:
                    try:
                        await turn.save()
                    except Refused:
                        self.settling.begin(turn.what)
                        raise
                return

    def sequence(self, collection: str) -> Sequence:
        """Return the order of a collection's writes under way. No more are remembered than there are."""
        if collection not in self._sequences:
            self._forget_idle()
            self._sequences[collection] = Sequence()
        return self._sequences[collection]

    def _forget_idle(self) -> None:
        self._sequences = {name: known for name, known in self._sequences.items() if not known.is_idle}

    def record(self, granted: Granted, sent: Sent, answer: Answer) -> Record:
        """Return what is written down of a write."""
        return Record(
            collection=granted.write.collection,
            effect=granted.write.effect.value,
            turn=granted.turn,
            transport=sent.transport,
            method=sent.method,
            path=sent.path,
            ids=answer.ids,
            # Aliases of collections that are not kept are refused when they are done again.
            applied=answer.applied and not (self._only and granted.write.effect is Effect.CATALOG),
            at=round(self._wall_clock() * 1000),
            body=sent.body or b"",
        )

    async def append_opaque(self, what: str, backup: AsyncExitStack) -> Save:
        """Record a change that cannot be done again, with no backup under way; return what backs it up.

        Raises Refused.
        """
        save = await backup.enter_async_context(self._alone())
        await self.journal.durable(self.journal.append_opaque(Opaque(what, self._head_seq())))
        return save

    async def _back_up(self, what: str) -> None:
        async with AsyncExitStack() as backup:
            save = await self.append_opaque(what, backup)
            await save()

    def _meaning(self, name: str) -> str:
        return self._aliases.get(name, name)

    def _has_many_shards(self, collection: str) -> bool:
        known = self._many_shards.get(collection)
        if known is None:
            try:
                known = len(layout.shard_ids(self._storage, collection)) > 1
            except (OSError, ValueError):  # names of collections that are none come from clients
                return False
            self._many_shards[collection] = known
        return known


class RecordedTurn:
    """One write's turn (see `runtime.edge.recording.Turn`). `save` is what has to be done before the turn ends."""

    def __init__(self, recorder: JournalRecorder, granted: Granted, sent: Sent, backup: AsyncExitStack) -> None:
        self.save: Save | None = None
        self._recorder = recorder
        self._granted = granted
        self._sent = sent
        self._backup = backup
        self._sequence: Sequence | None = None
        self._ticket = -1
        self._epoch: int | None = None

    @property
    def write(self) -> Write:
        """The write, its collection called by its own name."""
        return self._granted.write

    @property
    def what(self) -> str:
        """What a person calls it by."""
        return f"{self._sent.method} {self._sent.path.partition('?')[0]}".strip()

    def send(self) -> None:
        """Take a place in the order."""
        self._epoch = self._recorder.journal.epoch
        if self._granted.turn == "shared":
            # Not sooner: while a backup holds the writes back the order of an idle collection may be forgotten.
            self._sequence = self._recorder.sequence(self._granted.write.collection or "")
            self._ticket = self._sequence.sent()

    async def record(self, answer: Answer) -> Awaitable[None]:
        """Record that it was applied."""
        recorder, effect = self._recorder, self._granted.write.effect
        try:
            if effect not in _NUMBERED:
                await recorder.learn()
            if not recorder.keeps(self._granted.write):
                self._pass_by()
                return _nothing()
            if self._sent.body is None or effect in _NOT_REPEATABLE:
                if effect is Effect.UNKNOWN and self._sent.method in _SAFE_METHODS:
                    return _nothing()
                self.save = await recorder.append_opaque(self.what, self._backup)
                return _nothing()
            return self._append(answer)
        except (Refused, EngineError):
            recorder.settling.begin(self.what)
            raise

    def give_up(self, outcome: Outcome) -> None:
        """Record a refused write too, to be refused again: a part of it may have been applied.

        Not one that was denied or limited: with another key, or at another time, it would not be.
        """
        effect = self._granted.write.effect
        if not self._recorder.keeps(self._granted.write):
            self._pass_by()
            return
        recordable = self._sent.body is not None and effect not in _NOT_REPEATABLE
        if outcome is Outcome.REFUSED and recordable:
            with suppress(Refused):
                _forgotten(self._append(Answer(applied=False)))
                return
        self._pass_by()
        is_partly = effect is not Effect.UNKNOWN and (
            outcome is Outcome.REFUSED
            # An operation of a batch, or a shard, that had its limit not reached yet.
            or (outcome is Outcome.LIMITED and self._granted.turn != "shared")
        )
        if outcome is Outcome.UNANSWERED or is_partly:
            self._recorder.settling.begin(self.what)

    def _pass_by(self) -> None:
        """Leave the order without a record."""
        if self._sequence is not None:
            self._sequence.answered(self._ticket)

    def _append(self, answer: Answer) -> Awaitable[None]:
        """Give the record to the journal as soon as no other can come before it. Raises Refused."""
        journal = self._recorder.journal
        if journal.epoch != self._epoch:
            raise Refused("the lineage changed hands while the write was under way", retry_after=1)
        record = self._recorder.record(self._granted, self._sent, answer)
        if self._sequence is None:
            return journal.durable(journal.append(record))
        journal.require_open()
        placed: asyncio.Future[asyncio.Future[None] | None] = asyncio.get_running_loop().create_future()

        def queue() -> None:
            try:
                stored = journal.append(record)
            except Refused:
                placed.set_result(None)
            else:
                placed.set_result(stored)

        self._sequence.answered(self._ticket, answer.ids[0] if answer.ids else None, queue)
        return journal.durable_when(placed)


def _forgotten(stored: Awaitable[None]) -> None:
    """Let something be recorded without anybody waiting for it."""
    if isinstance(stored, Coroutine):
        stored.close()


def _nothing() -> Awaitable[None]:
    """Return what is done already."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
