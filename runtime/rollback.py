"""Going back to an older backup: a new commit with its content.

Owns what is checked and what is committed. Nothing is deleted and nothing is lost: the writer saves everything before
it hands over, so its last state is a backup too, and a rollback can be rolled back.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.composition import Position
from runtime.errors import IntegrityError, NothingThere
from runtime.repository import names
from runtime.repository.catalogue import find, require_head
from runtime.repository.intact import damaged_packs, packs_there
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.taking import taken


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The backup that was gone back to, the newest one before, and the new one (None: a dry run).

    `now` is None when the newest one before could not be read: going back from a damaged one is what this is for.
    """

    to: str
    newest_before: str
    now: Manifest | None
    then: Manifest
    committed: str | None

    def facts(self) -> dict[str, Any]:
        """Return it for programs; `points` says what each collection counts now and then, None where there is none."""
        then = {name: entry.points for name, entry in self.then.collections.items()}
        points = points_then_and_now(self.now, then)
        return {"backup": self.committed, "to": self.to, "newest_before": self.newest_before, "points": points}


def points_then_and_now(now: Manifest | None, then: Mapping[str, int | None]) -> dict[str, dict[str, int | None]]:
    """Return what each collection counts now and then, None where there is none."""
    held = {name: entry.points for name, entry in now.collections.items()} if now else {}
    return {name: {"now": held.get(name), "then": then.get(name)} for name in sorted({*held, *then})}


async def rollback(repository: Repository, identifier: str, settings: Settings, *, dry_run: bool) -> RolledBack:
    """Commit an older backup's content as the newest backup.

    Raises NothingThere (no such backup, or it is the newest), IntegrityError (it is damaged), NotTheWriter, StoreError.
    """
    state = await require_head(repository)
    then = await _intact(repository, identifier)
    newest_before = names.manifest_id(state.head.manifest or "") or ""
    if newest_before == identifier and state.head.clean:
        raise _is_newest(identifier)
    if then.lineage != state.head.lineage:
        raise IntegrityError(f"{identifier} belongs to another lineage than HEAD")
    if dry_run:
        return RolledBack(identifier, newest_before, await newest(repository), then, None)
    async with taken(repository, settings, "rollback", leaves_journal=True) as lineage:
        # Looked at again after the claim: whatever `prune` did before, it saw no claim and we see what it did.
        then = await _intact(repository, identifier)
        position = lineage.position("rollback")
        before = lineage.seen.head.manifest if lineage.seen else None
        # The newest one may be gone back to when a writer runs: it saves what was written since before it hands over.
        if before == names.manifest(identifier):
            raise _is_newest(identifier)
        now = await newest(repository)
        committed = await lineage.commit(as_newest(then, position, before), clean=True)
    return RolledBack(
        identifier, names.manifest_id(before or "") or newest_before, now, then, names.manifest_id(committed)
    )


def as_newest(then: Manifest, position: Position, parent: str | None) -> Manifest:
    """Return the manifest that commits a backup's content again, at a position that `taken` gave."""
    return replace(
        then,
        lineage=position.lineage,
        epoch=position.epoch,
        seq=position.seq,
        parent=parent,
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        reason=position.reason,
        writer=position.writer,
        journal=JournalPosition(position.epoch, 0),  # `taken` put one object there, and nobody writes another
        skipped=position.skipped,
    )


def _is_newest(identifier: str) -> NothingThere:
    return NothingThere(
        f"{identifier} is the newest backup, and nothing was written since", hint="`list` shows the older ones"
    )


async def newest(repository: Repository) -> Manifest | None:
    """Return the newest backup's manifest; None when it cannot be read, or there is none. Raises StoreError."""
    try:
        return (await find(repository, None))[1]
    except (IntegrityError, NothingThere):
        return None


async def _intact(repository: Repository, identifier: str) -> Manifest:
    _, manifest = await find(repository, identifier)
    await refuse_damaged(repository, identifier, manifest)
    return manifest


async def refuse_damaged(repository: Repository, identifier: str, manifest: Manifest) -> None:
    """Raise IntegrityError unless every pack of a backup is there. Raises StoreError."""
    damage = damaged_packs(manifest, await packs_there(repository, manifest))
    if damage:
        raise IntegrityError(
            f"backup {identifier} is damaged: {damage[0].what} {damage[0].problem}"
            + (f", and {len(damage) - 1} more" if len(damage) > 1 else ""),
            hint="`python -m runtime verify ID` tells which backups are good",
        )
