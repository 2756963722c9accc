"""Which backup a start restores, or why it must not start.

Owns the decision and its distinct outcomes. An error is never read as 'no backup'; a lineage with data never starts
empty; nothing is ordered by a clock.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from runtime.errors import ConfigError, IntegrityError, NothingThere
from runtime.logs import get_logger
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository
from runtime.settings import RestoreFallback, RestorePolicy

log = get_logger()


class Start(StrEnum):
    """How an instance starts."""

    NEW_LINEAGE = "new lineage"  # the bucket holds nothing of ours
    EMPTY_LINEAGE = "empty lineage"  # a lineage without a backup yet; its journal may hold writes
    RESTORED = "restored"
    UNRESTORED = "unrestored"  # a person said RESTORE_POLICY=never


@dataclass(frozen=True, slots=True)
class Choice:
    """A backup to place: its manifest's object name and content, and the damaged newer ones it stands in for."""

    name: str | None
    manifest: Manifest | None
    skipped: tuple[str, ...] = ()

    def stands_for(self, newest: str | None) -> bool:
        """Whether it is what a lineage restores whose HEAD names `newest`."""
        return newest == (self.skipped[0] if self.skipped else self.name)


async def start(repository: Repository, policy: RestorePolicy, *, production: bool) -> tuple[Start, HeadState | None]:
    """Tell the starting points apart. Raises NothingThere, IntegrityError (HEAD missing), ConfigError, StoreError."""
    state = await repository.head()
    if state is None:
        await _refuse_without_head(repository)
    if policy == "required" and not await _holds_data(repository, state):
        raise NothingThere(
            f"No snapshot found to restore in {repository}, and RESTORE_POLICY is `required`",
            hint="Check BACKUP_URL, or set RESTORE_POLICY=if-exists for a first start",
        )
    if policy == "never" and await _holds_data(repository, state):
        if production:
            raise ConfigError(
                f"RESTORE_POLICY is `never`, but {repository} holds data",
                hint="Every rollout would start empty over it: use another prefix, or RESTORE_POLICY=if-exists",
            )
        return Start.UNRESTORED, state
    if state is None:
        return Start.NEW_LINEAGE, None
    return (Start.EMPTY_LINEAGE if state.head.manifest is None else Start.RESTORED), state


async def _refuse_without_head(repository: Repository) -> None:
    if await repository.has_manifests():
        raise IntegrityError(
            f"{repository} holds backups but no HEAD",
            hint="`python -m runtime repair` shows what it would rebuild HEAD from",
        )
    if await repository.journal_goes_on(0):
        raise IntegrityError(
            f"{repository} holds a journal but no HEAD",
            hint="Object versioning may hold HEAD: copy its last version back. To begin anew, use another prefix",
        )


async def _holds_data(repository: Repository, state: HeadState | None) -> bool:
    """Whether there is a backup, or writes that only the journal holds yet."""
    if state is None:
        return False
    if state.head.manifest is not None:
        return True
    for epoch in range(1, state.head.epoch + 1):
        async for n in repository.journal_after(JournalPosition(epoch, -1)):
            if (await repository.journal_object(state.head.lineage, JournalPosition(epoch, n))).kind != "seal":
                return True
    return False


async def candidates(repository: Repository, head: Head, fallback: RestoreFallback) -> AsyncIterator[Choice]:
    """Yield what may be restored, best first: the newest backup, then the older committed ones if that is allowed.

    Ask for the next one when a backup turned out damaged. Raises IntegrityError at the end.
    """
    if head.manifest is None:
        yield Choice(None, None)
        return
    skipped = [head.manifest]
    try:
        newest = await _read(repository, head, head.manifest, head.manifest_sha256)
    except IntegrityError as error:
        if fallback == "refuse":
            raise
        _log_damaged(head.manifest, error)
    else:
        yield Choice(head.manifest, newest)
    if fallback == "refuse":
        raise IntegrityError(
            f"the newest backup {head.manifest} is damaged, and RESTORE_FALLBACK is `refuse`",
            hint="RESTORE_FALLBACK=older takes the next older intact one",
        )
    for name in committed(await repository.manifest_names(), head)[1:]:
        try:
            manifest = await _read(repository, head, name, None)
        except IntegrityError as error:
            _log_damaged(name, error)
            skipped.append(name)
            continue
        yield Choice(name, manifest, tuple(skipped))
        skipped.append(name)
    raise IntegrityError(
        f"none of the {len(skipped)} backups in {repository} is intact",
        hint="`python -m runtime verify --deep` says what is wrong with each; object versioning may hold older bytes",
    )


def _log_damaged(name: str, error: IntegrityError) -> None:
    log.error("restore.damaged", message=f"The manifest of a backup is damaged: {error}", manifest=name)


async def _read(repository: Repository, head: Head, name: str, sha256: str | None) -> Manifest:
    manifest = await repository.manifest(name, sha256)
    if manifest.lineage != head.lineage:
        raise IntegrityError(f"{name} belongs to another lineage than HEAD")
    return manifest
