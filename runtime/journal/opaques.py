"""Changes that the journal cannot do again: whether what follows one can be done over a backup.

Owns that decision, for a start and for a moment to go back to. Reads nothing but the manifests' names.
"""

from typing import Final, Protocol

from runtime.errors import IntegrityError
from runtime.journal.order import Entry
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition, Opaque
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository

# What is done in an epoch of which only backups tell.
UNJOURNALED: Final = "writes that no journal holds"


class Until(Protocol):
    """A moment. `newest_seq` is the number of the newest backup that is not beyond it, 0 for none."""

    @property
    def newest_seq(self) -> int:
        """See above."""

    def is_before(self, position: JournalPosition) -> bool:
        """Whether a journal object is wholly beyond the moment, as its position tells."""

    def is_beyond(self, entry: Entry) -> bool:
        """Whether a record is beyond the moment, and so all that follow it."""


async def is_beyond(
    repository: Repository, at: JournalPosition, change: Opaque, base: Manifest | None, head: Head, until: Until | None
) -> bool:
    """Return False when the change can be passed over, for no backup holds it, and True when it is beyond the moment.

    It is when the first backup that holds it is: with that one it was acknowledged, and nothing else in between.
    Raises IntegrityError when a backup holds it, and the one to start from does not: doing the rest would be wrong.
    """
    name, base_seq = f"{at.epoch}/{at.n}", base.seq if base else 0
    ways_out = f"`rollback --before {name}/0` keeps what came before it, `rollback ID` needs no journal"
    if change.exact:
        if base_seq == change.seq:
            return False
        if until is not None and change.seq > until.newest_seq:
            return True
        raise IntegrityError(
            f"the journal from {name} on belongs to backup number {change.seq}, not to {base_seq}", hint=ways_out
        )
    newer = await holding(repository, at.epoch, change.seq, head)
    if not newer:
        return False
    first = names.order(newer[-1])[1]
    if until is not None and first == change.seq + 1 > until.newest_seq:
        return True
    raise IntegrityError(
        f"the journal cannot do {change.what!r} again ({name}), which is newer than the backup to restore",
        hint=f"The backups from {newer[-1]} on hold it, or what came of it; {ways_out}",
    )


async def holding(repository: Repository, epoch: int, seq: int, head: Head) -> list[str]:
    """Return the ids of the committed backups that hold what an epoch's writer did after number `seq`, newest first.

    Whose the next number is tells whether that writer committed it. Where it was pruned nobody knows, so all that are
    newer count.
    """
    identifiers = [names.manifest_id(name) or "" for name in committed(await repository.manifest_names(), head)]
    newer = [found for found in identifiers if names.order(found)[1] > seq]
    if newer and names.order(newer[-1])[1] == seq + 1:
        return [found for found in newer if names.order(found)[0] == epoch]
    return newer
