"""Going back to a moment: what an engine holds that was brought to it becomes the newest backup.

Owns the order of the steps. Everything that takes long is done while the writer goes on; then the lineage is taken,
what was written by the moment and came since is done, and a backup is taken against the one that it began from. Nothing
is deleted: what was newest stays in the list, and a rollback can be rolled back.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from runtime import past
from runtime.backup import Backups
from runtime.composition import Base
from runtime.edge.gate import Gate
from runtime.errors import NothingThere, NotTheWriter, RuntimeFailure
from runtime.journal.replay import Replayed
from runtime.lineage import Lineage
from runtime.moment import Moment
from runtime.past import Start
from runtime.repository import names
from runtime.repository.catalogue import require_head
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.rollback import as_newest, newest, refuse_damaged
from runtime.run_sink import Progress
from runtime.scratch import scratch
from runtime.settings import Settings
from runtime.taking import taken


@dataclass(frozen=True, slots=True)
class Rewound:
    """What was gone back to, and the backup that holds it (None: a dry run).

    `base`: the id of the backup that it began from, None for none. `now`: the newest backup before, as in a rollback.
    """

    moment: Moment
    base: str | None
    newest_before: str | None
    now: Manifest | None
    points: Mapping[str, int]
    replayed: Replayed
    committed: str | None


async def rewind(
    repository: Repository,
    moment: Moment,
    settings: Settings,
    progress: Progress,
    *,
    skip: Sequence[str],
    dry_run: bool,
) -> Rewound:
    """Commit what the lineage held at a moment as the newest backup.

    Raises NothingThere (nothing leads there), IntegrityError, EngineError, ConfigError, NotTheWriter, StoreError.
    """
    state = await require_head(repository)
    committed = None
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(settings, "rollback"))
        own = past.settings_for(folder, folder.storage_dir)
        start = await past.place(
            repository, state.head, moment, own.storage_dir, progress, fallback=settings.restore_fallback
        )
        gate = Gate()
        placed = gate.written()
        engine, replay = await stack.enter_async_context(
            past.brought(repository, start, own, skip=skip, note=gate.note)
        )
        before = state.head.manifest
        if not dry_run:
            lineage = await stack.enter_async_context(taken(repository, settings, "rollback", leaves_journal=True))
            head = await _taken_head(repository, lineage, start)
            before = head.manifest
            await replay.read(start.choice.manifest, head)
        past.refuse_unmet(replay, start.moment, skip)
        points, now = await past.counted(engine), await newest(repository)
        if not dry_run:
            backups = Backups(own, engine, gate, repository, journal=lambda: JournalPosition(head.epoch, 0))
            base = Base(start.choice.manifest, before, placed)
            committed = await _commit(repository, lineage, backups, base, replay.progress)
    return Rewound(
        start.moment,
        names.manifest_id(start.choice.name or ""),
        names.manifest_id(before or ""),
        now,
        points,
        replay.progress,
        committed,
    )


async def _taken_head(repository: Repository, lineage: Lineage, start: Start) -> Head:
    """Return HEAD as it was taken. Raises RuntimeFailure when the writer has saved what belongs to the moment, too."""
    if lineage.seen is None:
        raise NotTheWriter("another instance took the lineage over")
    head = lineage.seen.head
    found = await newest(repository) if head.seq > start.head.seq and start.moment.at is not None else None
    if found is not None and start.moment.holds(found):
        raise RuntimeFailure(
            f"a backup was made meanwhile that is not beyond {start.moment}", hint="Run this again: it starts there"
        )
    return head


async def _commit(
    repository: Repository, lineage: Lineage, backups: Backups, base: Base, replayed: Replayed
) -> str | None:
    """Commit what the engine holds: only what was done again is new. Records left out are told in the manifest."""
    position = lineage.position("rollback", tuple(f"journal {name}" for name in replayed.skipped))
    manifest = (await backups.take(base, position, must=False)).manifest if replayed.records_done else None
    if manifest is None:
        if base.manifest is None:
            raise NothingThere("nothing had been written by then", hint="`list` shows what can be brought back")
        manifest = as_newest(base.manifest, position, base.name)
    # `prune` may have been at work meanwhile: it sees the claim, and we see what it did before.
    await refuse_damaged(repository, names.backup_id(manifest.epoch, manifest.seq), manifest)
    return names.manifest_id(await lineage.commit(manifest, clean=True))
