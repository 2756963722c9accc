"""Which journal objects may be deleted: decided from what is in the bucket, by pure functions.

Owns the decision; reads nothing and deletes nothing. What it leaves must tell a reader that begins too early that
something is missing, so that what was pruned is never taken for the journal's end:

- of the epoch in which the deleting ends, the last objects stay, as many as prove a hole before them;
- of the epochs before, the seal stays, for as long as the lineage lives: it also is what stops a writer that thaws.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from runtime.repository.journal_object import JournalPosition


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal's objects. `seals`: the numbers of each epoch's seals, as far as they were looked for.

    `margin`: an object that is so far behind another proves that the other was there.
    """

    objects: Collection[JournalPosition]
    seals: Mapping[int, Collection[int]]
    margin: int

    def superseded(self, needed: Iterable[JournalPosition | None], epoch: int) -> tuple[JournalPosition, ...]:
        """Return the objects to delete, in order.

        `needed`: up to where each backup contains it that must be brought to its end; None: all of it is needed.
        `epoch`: HEAD's own. What is behind a seal goes in any case: nobody reads it.
        """
        positions = list(needed)
        known = [position for position in positions if position is not None]
        first = min(known) if known and len(known) == len(positions) else JournalPosition(0, -1)
        return tuple(
            at
            for at in sorted(self.objects)
            if (at.epoch < epoch and self._is_behind_a_seal(at)) or self._is_needless(at, first)
        )

    def _is_behind_a_seal(self, at: JournalPosition) -> bool:
        seals = self.seals.get(at.epoch)
        return bool(seals) and at.n > max(seals or ())

    def _is_needless(self, at: JournalPosition, first: JournalPosition) -> bool:
        seals = self.seals.get(at.epoch, ())
        if at.n in seals or at.epoch > first.epoch:
            return False
        return at.n < first.n - self.margin if at.epoch == first.epoch else bool(seals)


NO_JOURNAL = Journal((), {}, 0)
