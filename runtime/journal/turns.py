"""Who may go to the engine beside whom, so that the journal's order is the engine's.

Owns that alone. Points of one collection go side by side: Qdrant's operation ids tell their order. What has no one
such id, or whose collection has several shards, goes alone in its collection; what may change what a name means goes
alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from runtime.edge.effects import Effect, Write
from runtime.edge.gate import Refused
from runtime.repository.journal_object import Turn

# Making a payload index over many points takes minutes; whoever waits for one has its own patience.
_LONGEST_WAIT_SECONDS: Final = 120.0
_ALONE_IN_ITS_COLLECTION: Final = frozenset({Effect.BATCH, Effect.SCHEMA, Effect.REPLACE})


@dataclass(frozen=True, slots=True)
class Granted:
    """A write's turn: the write with its collection's own name, and beside whom it goes."""

    write: Write
    turn: Turn


class Turns:
    """Gives writes their turns.

    `resolve` returns the collection that a name means; `has_many_shards` tells whether a collection's operation ids
    are no order.
    """

    def __init__(self, resolve: Callable[[str], str], has_many_shards: Callable[[str], bool]) -> None:
        self._resolve = resolve
        self._has_many_shards = has_many_shards
        self._everything = _Shared()
        self._collections: dict[str, _Shared] = {}

    @asynccontextmanager
    async def turn(self, write: Write, *, alone: bool) -> AsyncIterator[Granted]:
        """Hold the turn of a write for the block; `alone`: whatever it is, beside no other."""
        if alone or write.collection is None or write.effect not in {Effect.POINTS, *_ALONE_IN_ITS_COLLECTION}:
            async with self._everything.held(alone=True):
                yield Granted(write, "everything")
            return
        # First: who moves an alias is alone of everything. Who deletes a collection, its aliases with it, is not.
        async with self._everything.held(alone=False):
            while True:
                async with self._collection_turn(write, write.collection) as granted:
                    if granted is not None:
                        yield granted
                        return

    @asynccontextmanager
    async def _collection_turn(self, write: Write, called: str) -> AsyncIterator[Granted | None]:
        """Hold a turn in the collection that a name means; None when it means another by then.

        Whoever had the turn before may have deleted the collection, and the alias with it, or made it anew.
        """
        name = self._resolve(called)
        lock = self._collections.setdefault(name, _Shared())
        only = write.effect in _ALONE_IN_ITS_COLLECTION or self._has_many_shards(name)
        try:
            async with lock.held(alone=only):
                is_still_so = self._resolve(called) == name and (only or not self._has_many_shards(name))
                yield Granted(Write(write.effect, name), "collection" if only else "shared") if is_still_so else None
        finally:
            self._forget(name)

    def _forget(self, name: str) -> None:
        """Keep no lock that nobody holds or waits for: names come from clients."""
        if name in self._collections and self._collections[name].is_free:
            del self._collections[name]


class _Shared:
    """A lock that many may hold together or one alone, first come first served.

    Not bound to a task, as a library's would be: a write's turn is taken where its body is sent and given back where
    its answer is read.
    """

    def __init__(self) -> None:
        self._together = 0
        self._alone = False
        self._waiting: deque[tuple[bool, asyncio.Future[None]]] = deque()

    @property
    def is_free(self) -> bool:
        """Whether nobody holds it and nobody waits."""
        return not self._together and not self._alone and not self._waiting

    @asynccontextmanager
    async def held(self, *, alone: bool) -> AsyncIterator[None]:
        """Hold it for the block. Raises Refused when others do not give it back."""
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await self._take(alone)
        except TimeoutError:
            raise Refused("a write that goes alone takes its time", retry_after=2) from None
        try:
            yield
        finally:
            self._give_back(alone)

    async def _take(self, alone: bool) -> None:  # noqa: FBT001 - private
        if not self._waiting and self._fits(alone):
            self._grant(alone)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((alone, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(alone)
            else:
                with suppress(ValueError):
                    self._waiting.remove((alone, turn))
                self._serve()
            raise

    def _give_back(self, alone: bool) -> None:  # noqa: FBT001 - private
        if alone:
            self._alone = False
        else:
            self._together -= 1
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            alone, turn = self._waiting.popleft()
            if not turn.done():
                self._grant(alone)
                turn.set_result(None)

    def _fits(self, alone: bool) -> bool:  # noqa: FBT001 - private
        return not self._alone and not (alone and self._together)

    def _grant(self, alone: bool) -> None:  # noqa: FBT001 - private
        if alone:
            self._alone = True
        else:
            self._together += 1
