"""`restore DIR`: a backup, and what the journal holds beyond it, as a storage directory without an instance.

Owns the choice of what is restored and what is told of it. Reads only: whoever writes goes on.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import past, selection
from runtime import restore as restoring
from runtime.commands.terminal import bar, waiting
from runtime.errors import ConfigError, IntegrityError, NothingThere, RuntimeFailure
from runtime.journal.replay import Replayed
from runtime.moment import Moment, as_text
from runtime.past import Start
from runtime.repository import names
from runtime.repository.catalogue import find
from runtime.repository.head import Head
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.selection import Choice
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore: a moment, or a backup alone (the newest intact one without an id)."""

    moment: Moment
    identifier: str | None = None
    backup_only: bool = False
    skip: Sequence[str] = ()

    @property
    def is_a_backup(self) -> bool:
        """Whether no journal is asked for. Raises ConfigError when it is and is not."""
        alone = self.identifier is not None or self.backup_only
        if alone and (self.skip or not self.moment.is_the_end):
            raise ConfigError("--id and --backup-only restore a backup alone", hint="Leave out --at and --skip")
        return alone


async def restore_to(
    repository: Repository, directory: Path, wanted: Wanted, settings: Settings, *, quiet: bool
) -> dict[str, Any]:
    """Fill a new or empty directory.

    Raises ConfigError, NothingThere, IntegrityError, EngineError, StoreError; the directory is empty then.
    """
    alone = wanted.is_a_backup
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty", hint="Name a new directory: nothing is overwritten")
    progress = Progress()
    replayed = Replayed()
    points: dict[str, int | None] | None = None
    if wanted.identifier is not None:
        start = await _place_one(repository, wanted.identifier, directory, progress, quiet=quiet)
    else:
        head = await _head(repository)
        with bar(progress, "Restoring", quiet=quiet):
            start = await past.place(
                repository, head, wanted.moment, directory, progress, fallback=settings.restore_fallback
            )
        if not alone and (wanted.skip or await past.follows(repository, start.choice.manifest, head)):
            replayed, points = await _bring(repository, start, directory, settings, wanted.skip, quiet=quiet)
        elif start.choice.manifest is None and start.choice.skipped:
            raise IntegrityError(f"none of the {len(start.choice.skipped)} backups in {repository} is intact")
        elif start.choice.manifest is None:
            raise NothingThere(f"No snapshot found to restore in {repository}", hint="Check BACKUP_URL")
    manifest = start.choice.manifest
    if points is None:
        points = {name: entry.points for name, entry in manifest.collections.items()} if manifest else {}
    return {
        "id": names.manifest_id(start.choice.name or ""),
        "points": sum(count or 0 for count in points.values()),
        "collections": sorted(points),
        "files": progress.files,
        "bytes": progress.bytes,
        "damaged": list(start.choice.skipped),
        "qdrant_version": manifest.qdrant_version if manifest else None,
        "journal": None if alone else told(replayed, start.moment),
    }


def told(replayed: Replayed, moment: Moment) -> dict[str, Any]:
    """Return what was done again, for a program."""
    at = replayed.position
    return {
        "until": str(moment),
        "records": replayed.records_done,
        "last_write_at": None if replayed.last_at is None else as_text(replayed.last_at),
        "read_to": None if at is None else f"{at.epoch}/{at.n}",
        "skipped": replayed.skipped,
    }


async def _head(repository: Repository) -> Head:
    _, state = await selection.start(repository, "if-exists", production=False)
    if state is None:
        raise NothingThere(f"No snapshot found to restore in {repository}", hint="Check BACKUP_URL")
    return state.head


async def _place_one(
    repository: Repository, identifier: str, directory: Path, progress: Progress, *, quiet: bool
) -> Start:
    name, manifest = await find(repository, identifier)
    with bar(progress, "Restoring", quiet=quiet):
        await restoring.place(repository, manifest, directory, progress)
    return Start(Choice(name, manifest), Moment(), await _head(repository))


async def _bring(
    repository: Repository, start: Start, directory: Path, settings: Settings, skip: Sequence[str], *, quiet: bool
) -> tuple[Replayed, dict[str, int | None]]:
    own = past.settings_for(settings, directory)
    with tempfile.TemporaryDirectory() as beside, waiting("Doing the journal's writes again", quiet=quiet):
        try:
            async with past.brought(repository, start, own, beside=Path(beside), skip=skip) as (engine, replay):
                past.refuse_unmet(replay, start.moment, skip)
                return replay.progress, dict(await past.counted(engine))
        except RuntimeFailure:
            for path in directory.iterdir():  # half of it would look like all of it
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
