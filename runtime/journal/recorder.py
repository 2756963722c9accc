"""Between the gate and the journal: each write's turn, its record, and what cannot be recorded as it was sent.

Owns what is written down of a write, and that what the journal cannot do again (a recovered snapshot, a route that
nobody knows, a body too large to keep) is acknowledged only with a backup that holds it.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from runtime.edge.answers import Answer
from runtime.edge.effects import Effect, Write
from runtime.edge.recording import Sent
from runtime.engine import storage as layout
from runtime.engine.admin import Admin
from runtime.journal.budget import Budget
from runtime.journal.turns import Granted, Turns
from runtime.journal.writer import Journal
from runtime.repository.journal_object import Opaque, Record

# Qdrant itself takes no JSON above 32 MiB; a larger message by gRPC is not kept.
LARGEST_BODY: Final = 34 * 1024 * 1024
_MOST_KEPT: Final = 64 * 1024 * 1024
_NOT_REPEATABLE: Final = frozenset({Effect.RECOVER, Effect.UNKNOWN})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def _wall_clock() -> float:
    return time.time()


class JournalRecorder:
    """Records the gate's writes. `save` takes a backup of everything; `head_seq` returns HEAD's number as last seen."""

    largest_body = LARGEST_BODY

    def __init__(
        self,
        journal: Journal,
        admin: Admin,
        storage: Path,
        *,
        save: Callable[[], Awaitable[object]],
        head_seq: Callable[[], int],
        wall_clock: Callable[[], float] = _wall_clock,
    ) -> None:
        self._journal = journal
        self._admin = admin
        self._storage = storage
        self._save = save
        self._head_seq = head_seq
        self._wall_clock = wall_clock
        self._budget = Budget(_MOST_KEPT)
        self._turns = Turns(self._meaning, self._has_many_shards)
        self._aliases: dict[str, str] = {}
        self._many_shards: dict[str, bool] = {}

    async def take(self, size: int) -> None:
        """Count bytes of a body that is kept. Raises Refused."""
        await self._budget.take(size)

    def give(self, size: int) -> None:
        """Count them no more."""
        self._budget.give(size)

    async def learn(self) -> None:
        """Ask the engine what names mean, for the first time or after it was started anew. Raises EngineError."""
        self._aliases = await self._admin.aliases()
        self._many_shards.clear()

    @asynccontextmanager
    async def turn(self, write: Write, *, alone: bool) -> AsyncIterator["RecordedTurn"]:
        """Hold a write's turn; what cannot be recorded is in a backup when the block has ended. Raises Refused."""
        async with self._turns.turn(write, alone=alone) as granted:
            turn = RecordedTurn(self, granted)
            yield turn
            if turn.needs_backup:
                await self._save()

    async def record(self, granted: Granted, sent: Sent, answer: Answer) -> tuple[Awaitable[None], bool]:
        """Record what the engine applied; tell also whether it has to be in a backup before it is acknowledged."""
        write = granted.write
        if write.effect not in {Effect.POINTS, Effect.SCHEMA}:
            await self.learn()
        if sent.body is None or write.effect in _NOT_REPEATABLE:
            if write.effect is Effect.UNKNOWN and sent.method in _SAFE_METHODS:
                return _nothing(), False
            what = f"{sent.method} {sent.path.partition('?')[0]}".strip()
            # Before the write gives its place back: no backup may hold it that the journal does not know of.
            await self._journal.durable(self._journal.append_opaque(Opaque(what, self._head_seq())))
            return _nothing(), True
        record = Record(
            collection=write.collection,
            effect=write.effect.value,
            turn=granted.turn,
            transport=sent.transport,
            method=sent.method,
            path=sent.path,
            ids=answer.ids,
            applied=answer.applied,
            at=round(self._wall_clock() * 1000),
            body=sent.body,
        )
        return self._journal.durable(self._journal.append(record)), False

    def _meaning(self, name: str) -> str:
        return self._aliases.get(name, name)

    def _has_many_shards(self, collection: str) -> bool:
        known = self._many_shards.get(collection)
        if known is None:
            shards = layout.shard_ids(self._storage, collection)
            known = len(shards) > 1
            if shards:  # names of collections that are none come from clients
                self._many_shards[collection] = known
        return known


class RecordedTurn:
    """One write's turn."""

    def __init__(self, recorder: JournalRecorder, granted: Granted) -> None:
        self._recorder = recorder
        self._granted = granted
        self.needs_backup = False

    @property
    def write(self) -> Write:
        """The write, its collection called by its own name."""
        return self._granted.write

    async def record(self, sent: Sent, answer: Answer) -> Awaitable[None]:
        """Record it (see Turn)."""
        stored, self.needs_backup = await self._recorder.record(self._granted, sent, answer)
        return stored


async def _nothing() -> None:
    """Be done."""
