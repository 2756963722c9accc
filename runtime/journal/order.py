"""The order in which what was recorded is done again: pure decisions over records.

Owns it: what went alone keeps its place; what went side by side is put in the order of Qdrant's operation ids. A
batch whose operations others came between is taken apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runtime.repository.journal_object import JournalPosition, Record


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


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: an entry, or only the `part`-th operation of the batch that it is."""

    entry: Entry
    part: int | None = None


Stretch = dict[str, list[Step]]


def stretches(entries: Iterable[Entry]) -> Iterator[Stretch | Step]:
    """Yield an epoch's entries in the order of doing them: lists by collection that may go side by side, or one alone."""
    waiting: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.record.turn == "everything" or entry.record.collection is None:
            if waiting:
                yield {name: list(ordered(run)) for name, run in waiting.items()}
                waiting = {}
            yield Step(entry)
        else:
            waiting.setdefault(entry.record.collection, []).append(entry)
    if waiting:
        yield {name: list(ordered(run)) for name, run in waiting.items()}


def ordered(entries: Iterable[Entry]) -> Iterator[Step]:
    """Yield one collection's entries as the engine did them."""
    together: list[Entry] = []
    for entry in entries:
        if entry.record.turn == "shared" and entry.record.ids:
            together.append(entry)
            continue
        yield from _by_id(together)
        together = []
        yield Step(entry)
    yield from _by_id(together)


def _by_id(entries: Sequence[Entry]) -> Iterator[Step]:
    numbered = [
        (number, Step(entry, part if len(entry.record.ids) > 1 else None))
        for entry in entries
        for part, number in enumerate(entry.record.ids)
    ]
    numbered.sort(key=lambda item: item[0])
    steps = [step for _, step in numbered]
    at = 0
    while at < len(steps):
        step = steps[at]
        size = len(step.entry.record.ids)
        whole = step.part == 0 and all(other.entry is step.entry for other in steps[at : at + size])
        yield Step(step.entry) if whole else step
        at += size if whole else 1
