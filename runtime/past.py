"""The past in an engine of one's own: a backup placed, Qdrant started on it, and the journal done again to a moment.

Owns the way there, for commands that serve nothing. Seals nothing and claims nothing: a writer goes on meanwhile. What
is done with the result is the caller's.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from runtime import comparison, restore
from runtime.edge.effects import Write
from runtime.engine import process
from runtime.engine.process import Engine
from runtime.errors import IntegrityError, NothingThere
from runtime.journal.replay import Replay, beginning, epochs
from runtime.journal.sender import Sender
from runtime.journal.tail import Tail
from runtime.logs import get_logger
from runtime.moment import Moment, bases
from runtime.repository.head import Head
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.scratch import running
from runtime.selection import Choice
from runtime.settings import RestoreFallback, Settings

log = get_logger()

_READER = "command"


@dataclass(frozen=True, slots=True)
class Start:
    """What was placed in a directory, and the moment that it is to be brought to."""

    choice: Choice
    moment: Moment
    head: Head


async def place(
    repository: Repository,
    head: Head,
    moment: Moment,
    directory: Path,
    progress: Progress,
    *,
    fallback: RestoreFallback,
) -> Start:
    """Place the backup nearest to a moment in an empty directory; a damaged one means the next older one.

    Raises NothingThere, IntegrityError, StoreError, and RuntimeFailure when a file cannot be written.
    """
    async for choice, found in bases(repository, head, moment, fallback):
        if choice.manifest is not None:
            try:
                await restore.place(repository, choice.manifest, directory, progress)
            except IntegrityError as error:
                if fallback == "refuse":
                    raise
                log.exception("restore.damaged", message=f"A backup is damaged: {error}", manifest=choice.name)
                restore.clear(directory)
                continue
        else:
            directory.mkdir(parents=True, exist_ok=True)
        return Start(choice, found, head)
    raise IntegrityError(f"no backup in {repository} leads to {moment}")


async def follows(repository: Repository, base: Manifest | None, head: Head) -> bool:
    """Whether the journal holds anything beyond a backup. Raises IntegrityError, StoreError."""
    tail = Tail(repository, head.lineage, _READER)
    for start in epochs(beginning(base), head.epoch):
        async with contextlib.aclosing(tail.read(start)) as objects:
            async for found in objects:
                if found.kind != "seal":
                    return True
    return False


@contextlib.asynccontextmanager
async def brought(
    repository: Repository,
    start: Start,
    settings: Settings,
    *,
    beside: Path | None = None,
    skip: Collection[str] = (),
    note: Callable[[Write], None] = lambda _: None,
) -> AsyncIterator[tuple[Engine, Replay]]:
    """Run an engine on what was placed in these settings' directory, and bring it to the moment.

    `Replay.read` again does what came since. `skip` are records to leave out, by name; one that is not among those to
    do is refused. Raises IntegrityError, EngineError, ConfigError, NothingThere, StoreError.
    """
    manifest = start.choice.manifest
    if manifest is not None:
        comparison.refuse_newer(manifest, await process.version(settings))
    async with running(settings, beside=beside) as engine:
        if manifest is not None and (wrong := await comparison.differences(engine.admin, manifest)):
            raise IntegrityError("Qdrant does not hold what was restored: " + "; ".join(wrong[:10]))
        replay = Replay(
            repository,
            start.head.lineage,
            _READER,
            sender=lambda: Sender(engine.settings),
            note=note,
            skip=skip,
            until=None if start.moment.is_the_end else start.moment,
            keeps_all=settings.keeps_journal or not (start.moment.is_the_end and start.choice.skipped),
        )
        await replay.read(manifest, start.head)
        yield engine, replay


def refuse_unmet(replay: Replay, moment: Moment, skip: Collection[str]) -> None:
    """Refuse what was asked for and did not come up: a write to stop before, or records to leave out."""
    if moment.before is not None and not replay.ended:
        raise NothingThere(f"the journal ends {moment}", hint="`journal show` tells what it holds")
    unmet = sorted(set(skip) - set(replay.progress.skipped))
    if unmet:
        raise NothingThere(
            f"{unmet[0]} is not among the records that are done again", hint="`journal show` names them: 3/17/0"
        )


async def counted(engine: Engine) -> dict[str, int]:
    """Return the exact number of points of each collection."""
    return {name: await engine.admin.count(name) for name in await engine.admin.collections()}


def settings_for(settings: Settings, directory: Path) -> Settings:
    """Return settings with another storage directory, all collections in it."""
    return replace(settings, storage_dir=directory, collections=())
