"""The order of writes: as Qdrant applied them into the journal, and from the journal into Qdrant again.

Owns both. Qdrant's operation ids tell the order in which it applied the writes of a collection that were under way
together; a record goes into the journal only when nothing can come before it any more. So the journal's order is the
engine's, whatever prefix of it survives, and what is done again is done in the journal's order.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from runtime.edge.effects import Effect
from runtime.repository.journal_object import JournalPosition, Record


@dataclass(frozen=True, slots=True)
class _Held:
    """An answered write. `sent_before`: the ticket of the first that was sent after its answer."""

    operation: int | None
    sent_before: int
    queue: Callable[[], None]


class Sequence:
    """One collection's writes under way. Each is `sent`, then `answered`; both in one event loop.

    Another collection of the same name, or another engine, numbers its writes anew: that is another Sequence.
    """

    def __init__(self) -> None:
        self._tickets = itertools.count()
        self._answers = itertools.count()
        self._next = 0
        self._under_way: set[int] = set()
        self._held: list[tuple[int, int, _Held]] = []
        self._last: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or held."""
        return not self._under_way and not self._held

    def sent(self) -> int:
        """Note that a write goes to the engine; return its ticket."""
        ticket = next(self._tickets)
        self._next = ticket + 1
        self._under_way.add(ticket)
        return ticket

    def answered(self, ticket: int, operation: int | None = None, queue: Callable[[], None] | None = None) -> None:
        """Note the engine's answer; `queue` is called as soon as no write with a lower operation id can follow.

        Such a write was sent before this answer came. One without an id comes behind all that is held.
        """
        self._under_way.discard(ticket)
        if queue is not None:
            place = operation if operation is not None else self._highest()
            heapq.heappush(self._held, (place, next(self._answers), _Held(operation, self._next, queue)))
        while self._held:
            held = self._held[0][2]
            if not self._follows(held.operation) and any(other < held.sent_before for other in self._under_way):
                return
            heapq.heappop(self._held)
            self._last = self._last if held.operation is None else held.operation
            held.queue()

    def _follows(self, operation: int | None) -> bool:
        """Whether it is the very next one: then nothing that is under way can come before it."""
        return operation is not None and self._last is not None and operation == self._last + 1

    def _highest(self) -> int:
        return max([place for place, _, _ in self._held], default=-1 if self._last is None else self._last)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its place: the `index`-th of an object. Its body may have been left out, to save memory."""

    position: JournalPosition
    index: int
    record: Record

    @property
    def name(self) -> str:
        """What a person calls it by: epoch, object, record."""
        return f"{self.position.epoch}/{self.position.n}/{self.index}"


Stretch = dict[str, list[Entry]]


def stretches(entries: Iterable[Entry]) -> Iterator[Stretch]:
    """Yield entries in the order of doing them: lists by collection that may go side by side, each in order.

    What went alone of everything is a stretch of its own, and so is what makes or deletes a collection: its aliases go
    with it, and what comes later may call another by their names.
    """
    waiting: Stretch = {}
    for entry in entries:
        name, effect = entry.record.collection, entry.record.effect
        if entry.record.turn != "everything" and name is not None and effect != Effect.REPLACE.value:
            waiting.setdefault(name, []).append(entry)
            continue
        if waiting:
            yield waiting
            waiting = {}
        yield {"": [entry]}
    if waiting:
        yield waiting
