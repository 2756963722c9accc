"""`restore DIR`: a backup as a storage directory, without an instance.

Owns the choice by id. Starts no engine.
"""

from pathlib import Path
from typing import Any

from runtime import restore as restoring
from runtime import selection
from runtime.commands.terminal import bar
from runtime.errors import ConfigError, IntegrityError, NothingThere
from runtime.repository import names
from runtime.repository.catalogue import find
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.selection import Choice
from runtime.settings import Settings


async def restore_to(
    repository: Repository, directory: Path, identifier: str | None, settings: Settings, *, quiet: bool
) -> dict[str, Any]:
    """Place a backup in a new or empty directory. Raises ConfigError, NothingThere, IntegrityError, StoreError."""
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty", hint="Name a new directory: nothing is overwritten")
    if identifier is not None:
        choice = Choice(*await find(repository, identifier))
        progress = await _place(repository, choice, directory, quiet=quiet)
    else:
        choice, progress = await _newest_intact(repository, directory, settings, quiet=quiet)
    manifest = choice.manifest
    return {
        "id": names.manifest_id(choice.name or ""),
        "points": manifest.points if manifest else 0,
        "collections": sorted(manifest.collections) if manifest else [],
        "files": progress.files,
        "bytes": progress.bytes,
        "damaged": list(choice.skipped),
        "qdrant_version": manifest.qdrant_version if manifest else None,
    }


async def _newest_intact(
    repository: Repository, directory: Path, settings: Settings, *, quiet: bool
) -> tuple[Choice, Progress]:
    _, state = await selection.start(repository, "if-exists", production=False)
    if state is None or state.head.manifest is None:
        raise NothingThere(f"No snapshot found to restore in {repository}", hint="Check BACKUP_URL")
    async for choice in selection.candidates(repository, state.head, settings.restore_fallback):
        try:
            return choice, await _place(repository, choice, directory, quiet=quiet)
        except IntegrityError:
            if settings.restore_fallback == "refuse":
                raise
    raise IntegrityError(f"no backup in {repository} can be restored")


async def _place(repository: Repository, choice: Choice, directory: Path, *, quiet: bool) -> Progress:
    progress = Progress()
    if choice.manifest is not None:
        with bar(progress, "Restoring", quiet=quiet):
            await restoring.place(repository, choice.manifest, directory, progress)
    return progress
