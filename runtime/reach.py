"""From when to when any moment can be reached.

Owns finding the oldest backup from which the journal goes on without a gap, and the journal's last write. Looks at as
little as that takes: what is pruned is pruned from the beginning.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import IntegrityError, ObjectMissing
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository

_MOST_LOOKED_BACK = 8


@dataclass(frozen=True, slots=True)
class Reach:
    """`start`: the time of the oldest backup that any later moment can be reached from. `end`: of the last write known.

    Both None where no journal goes on from any backup; both by the clocks of those who wrote.
    """

    start: dt.datetime | None
    end: dt.datetime | None


async def reach(repository: Repository, head: Head) -> Reach:
    """Find out. Where journals were kept now and then, what lies between is taken for kept. Raises StoreError."""
    chain = committed(await repository.manifest_names(), head)[::-1]
    low, high, oldest = 0, len(chain), None
    # The newest is the last to be without its journal: halve.
    while low < high:
        middle = (low + high) // 2
        found = await _readable(repository, chain[middle])
        if found is not None and await _goes_on(repository, found, chain[middle + 1 :], head):
            high, oldest = middle, found
        else:
            low = middle + 1
    if oldest is None:
        return Reach(None, None)
    newest = await _readable(repository, chain[-1]) or oldest
    times = [dt.datetime.fromisoformat(one.created_at) for one in (oldest, newest)]
    last = await _last_write(repository, head, newest.replay_from())
    return Reach(times[0], max(times[1], last) if last else times[1])


async def _readable(repository: Repository, name: str) -> Manifest | None:
    try:
        return await repository.manifest(name)
    except IntegrityError:
        return None


async def _goes_on(repository: Repository, manifest: Manifest, later: Sequence[str], head: Head) -> bool:
    """Whether the journal holds what follows a backup, to the first record after it."""
    if manifest.journal is None and (not later or _epoch(later[0]) == manifest.epoch):
        return False  # its writer kept none
    first = manifest.replay_from()
    for epoch in range(first.epoch, head.epoch + 1):
        position = JournalPosition(epoch, first.n if epoch == first.epoch else -1)
        number = await _next(repository, position)
        if number is None:
            continue
        if number != position.n + 1:
            return False
        if not await _is_seal(repository, head, JournalPosition(epoch, number)):
            return True
    return True


async def _next(repository: Repository, position: JournalPosition) -> int | None:
    async for number in repository.journal_after(position):
        return number
    return None


async def _is_seal(repository: Repository, head: Head, position: JournalPosition) -> bool:
    try:
        return (await repository.journal_object(head.lineage, position)).kind == "seal"
    except (IntegrityError, ObjectMissing):
        return False


async def _last_write(repository: Repository, head: Head, after: JournalPosition) -> dt.datetime | None:
    """Return when the journal's last record beyond a position was written."""
    for epoch in range(head.epoch, after.epoch - 1, -1):
        start = JournalPosition(epoch, after.n if epoch == after.epoch else -1)
        numbers = [number async for number in repository.journal_after(start)]
        at: int | None = None
        for number in numbers[: -_MOST_LOOKED_BACK - 1 : -1]:
            try:
                found = await repository.journal_object(head.lineage, JournalPosition(epoch, number))
            except (IntegrityError, ObjectMissing):
                continue
            if found.kind == "seal":
                at = None  # what is behind it does not count
            elif found.records and at is None:
                at = found.records[-1].at
        if at is not None:
            return dt.datetime.fromtimestamp(at / 1000, dt.UTC)
    return None


def _epoch(name: str) -> int:
    return names.order(names.manifest_id(name) or "")[0]
