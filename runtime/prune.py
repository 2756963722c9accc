"""Deleting what the retention does not keep. The only thing that deletes backups.

Owns the order of the deletions and when they must not happen; what goes is `repository.retention`'s decision.

Manifests go before packs and journal, so that a crash leaves packs that nobody names and never a backup without its
packs, or without the journal that leads from it to now.
Between the two HEAD is read again, which closes the race with a rollback: that one claims an epoch first and then
looks whether its backup is still there, this one deletes the backup first and then looks whether the epoch is still
the same. Whatever the interleaving, one of them sees the other.
"""

import asyncio
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.contract import SYNC_FOLDER
from runtime.errors import IntegrityError, NothingThere, ObjectMissing, RuntimeFailure
from runtime.journal.writer import MOST_UNDER_WAY
from runtime.repository import names, verdicts
from runtime.repository.catalogue import require_head
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.intact import damaged_packs
from runtime.repository.journal_object import JournalPosition
from runtime.repository.journal_retention import Journal
from runtime.repository.repository import Repository
from runtime.repository.retention import Entry, Plan, Policy, plan
from runtime.repository.store import ObjectInfo
from runtime.run_sink import Progress
from runtime.sync import meetings
from runtime.task_group import task_group

_CALLS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or with `dry_run` would be, and what stays for which reasons."""

    plan: Plan
    verdicts: tuple[str, ...]
    meetings: tuple[str, ...]
    bytes: int
    dry_run: bool


async def prune(
    repository: Repository, policy: Policy, progress: Progress, *, now: dt.datetime, dry_run: bool
) -> Pruned:
    """Delete what the policy does not keep.

    Raises NothingThere, ConfigError, IntegrityError (the newest backup is damaged, or HEAD is lost), StoreError, and
    RuntimeFailure while the lineage changes hands.
    """
    state = await require_head(repository)
    _refuse_in_motion(state.head, state.head)
    if state.head.manifest is None:
        raise NothingThere(f"{repository} holds no backup", hint="Check BACKUP_URL")
    # After HEAD: what is committed from here on is newer than anything that is decided on.
    manifests = {i.name: i async for i in repository.objects(names.MANIFESTS) if names.manifest_id(i.name)}
    packs = {info.name: info async for info in repository.objects(names.PACKS)}
    kept_verdicts = {i.name: i async for i in repository.objects(names.VERIFIED) if verdicts.backup_of(i.name)}
    journal = {
        JournalPosition(*at): i
        async for i in repository.objects(names.JOURNAL)
        if (at := names.journal_position(i.name))
    }
    entries = await _entries(repository, state.head, manifests, packs)
    verified = await _last_verified(repository, state.head, entries, kept_verdicts)
    known = Journal(journal, await _seals(repository, state.head, journal), MOST_UNDER_WAY)
    decided = plan(state.head, entries, list(packs), policy, verified=verified, now=now, journal=known)
    gone = {names.manifest_id(name) for name in (*decided.orphans, *decided.backups)}
    gone_verdicts = tuple(name for name in kept_verdicts if verdicts.backup_of(name) in gone)
    there = {names.manifest_id(name) for name in manifests} - gone
    notes = {
        i.name: i
        async for i in repository.objects(f"{SYNC_FOLDER}/")
        if (about := meetings.backup_of(i.name)) and about not in there and _is_past(about, state.head)
    }
    size = sum(packs[name].size for name in decided.packs) + sum(journal[at].size for at in decided.journal)
    if not dry_run:
        deleting = _Deleting(repository, progress)
        progress.files = len(gone) + len(decided.packs) + len(decided.journal) + len(gone_verdicts) + len(notes)
        await _check_again(repository, state.head)
        await deleting.all(manifests[name] for name in decided.orphans)
        await deleting.all(manifests[name] for name in decided.backups)
        await _check_again(repository, state.head)
        await deleting.all(packs[name] for name in decided.packs)
        await deleting.all(journal[at] for at in decided.journal)
        await deleting.all(kept_verdicts[name] for name in gone_verdicts)
        await deleting.all(notes.values())
    return Pruned(decided, gone_verdicts, tuple(notes), size, dry_run)


def _is_past(identifier: str, head: Head) -> bool:
    """Whether a backup that is not there will not come any more: a note is written just before its backup is."""
    return names.order(identifier) <= (head.epoch, head.seq)


async def _entries(
    repository: Repository, head: Head, manifests: Mapping[str, ObjectInfo], packs: Mapping[str, ObjectInfo]
) -> list[Entry]:
    """Read every manifest, and keep of each what the decision needs."""
    at_once = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def read(name: str) -> Entry:
        async with at_once:
            try:
                manifest = await repository.manifest(name, head.manifest_sha256 if name == head.manifest else None)
                created = dt.datetime.fromisoformat(manifest.created_at)
            except (IntegrityError, ValueError):
                return Entry(name, None, frozenset(), intact=False)
        if manifest.lineage != head.lineage or created.tzinfo is None:
            return Entry(name, None, frozenset(), intact=False)
        return Entry(
            name, created, frozenset(manifest.packs), not damaged_packs(manifest, packs), manifest.replay_from()
        )

    return list(await asyncio.gather(*(read(name) for name in manifests)))


async def _seals(repository: Repository, head: Head, journal: Iterable[JournalPosition]) -> dict[int, frozenset[int]]:
    """Find the seal of each epoch before HEAD's: no more than a few objects are behind it."""
    last: dict[int, list[int]] = {}
    for at in sorted(journal):
        if at.epoch < head.epoch:
            last.setdefault(at.epoch, []).append(at.n)
    at_once = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def is_seal(at: JournalPosition) -> bool:
        async with at_once:
            try:
                return (await repository.journal_object(head.lineage, at)).kind == "seal"
            except (IntegrityError, ObjectMissing):
                return False

    async def of(epoch: int, numbers: list[int]) -> tuple[int, frozenset[int]]:
        looked_at = numbers[-MOST_UNDER_WAY - 1 :]
        found = await asyncio.gather(*(is_seal(JournalPosition(epoch, number)) for number in looked_at))
        return epoch, frozenset(number for number, seal in zip(looked_at, found, strict=True) if seal)

    return dict([await of(epoch, numbers) for epoch, numbers in last.items()])


async def _last_verified(
    repository: Repository, head: Head, entries: Iterable[Entry], kept_verdicts: Iterable[str]
) -> str | None:
    """Return the newest committed backup that a deep verification found good and whose packs are still there."""
    intact = {entry.name for entry in entries if entry.intact}
    about = {verdicts.backup_of(name) for name in kept_verdicts}
    for name in committed((entry.name for entry in entries), head):
        identifier = names.manifest_id(name)
        if identifier in about and name in intact and await verdicts.good(repository, kept_verdicts, identifier or ""):
            return name
    return None


async def _check_again(repository: Repository, planned: Head) -> None:
    state = await require_head(repository)
    _refuse_in_motion(state.head, planned)


def _refuse_in_motion(head: Head, planned: Head) -> None:
    """Refuse while somebody may be restoring: a request in HEAD, or another writer than when it was planned."""
    if head.requested_by is not None:
        raise RuntimeFailure(
            f"an instance ({head.requested_by.instance}) is taking the lineage over and may be restoring",
            hint="Run it again when `/health` names a writer, usually within a minute",
        )
    if (head.lineage, head.epoch) != (planned.lineage, planned.epoch):
        raise RuntimeFailure("the lineage changed hands meanwhile, so nothing more was deleted", hint="Run it again")


class _Deleting:
    """Deletes objects, several at a time, each only if it is still the one that was listed."""

    def __init__(self, repository: Repository, progress: Progress) -> None:
        self._repository = repository
        self._progress = progress

    async def all(self, objects: Iterable[ObjectInfo]) -> None:
        """Delete these; return when the last one is gone. The first failure ends the others."""
        waiting = iter(list(objects))

        async def work() -> None:
            for info in waiting:
                await self._repository.store.delete(info.name, info.generation)
                self._progress.files_done += 1
                self._progress.on_change()

        async with task_group() as group:
            for _ in range(_CALLS_AT_ONCE):
                group.create_task(work())
