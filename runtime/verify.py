"""Is a backup good? The cheap look, and the deep one that restores it.

Owns what each of them checks and the verdict.

- Cheap: HEAD, the manifest against the hash that HEAD names (an older one against its own form), and every pack it
  needs against the size and CRC32C that the store itself states, out of one listing however many backups there are.
  It finds what is missing, cut or replaced, and trusts the store for the bytes.
- Deep: also every needed file downloaded and hashed, an engine started on them, and its collections, aliases and
  exact counts compared. It trusts nobody, and its verdict is kept.
"""

import asyncio
import datetime as dt
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from runtime import comparison, restore
from runtime.engine import process
from runtime.engine.tuning import refuse_what_cannot_fit
from runtime.errors import EngineError, IntegrityError
from runtime.logs import get_logger
from runtime.repository import names, verdicts
from runtime.repository.catalogue import find, require_head
from runtime.repository.intact import Damage, damaged_packs, packs_there
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.scratch import running, scratch
from runtime.settings import Settings

log = get_logger()

MOST_DAMAGE_LOGGED: Final = 10
ADVICE = (
    "A running writer saves everything anew when POST /api/verify finds this; a start takes the next older intact "
    "backup by itself (RESTORE_FALLBACK=older), and `rollback ID` makes one the newest; "
    "soft delete or object versioning may still hold the right bytes"
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found. `record` is the object that keeps it, of a deep one."""

    backup: str
    depth: str
    damage: tuple[Damage, ...]
    packs: int = 0
    bytes: int = 0
    points: int | None = None
    engine: str | None = None
    seconds: float = 0.0
    record: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage

    def facts(self) -> dict[str, Any]:
        """Return it for programs."""
        advice = {} if self.ok else {"advice": ADVICE}
        return {"ok": self.ok, **asdict(self), **advice}


async def look(repository: Repository, identifier: str | None) -> Verification:
    """Verify a backup, or the newest, the cheap way. Raises NothingThere, IntegrityError (HEAD), StoreError."""
    return (await _look(repository, identifier))[0]


async def restore_and_compare(
    repository: Repository, identifier: str | None, settings: Settings, progress: Progress
) -> Verification:
    """Verify a backup, or the newest, the deep way, and keep the verdict. Raises as `look`, and ConfigError."""
    started = time.monotonic()
    found, manifest = await _look(repository, identifier)
    if manifest is not None and found.ok:
        version = await process.version(settings)
        comparison.refuse_newer(manifest, version)
        found = replace(found, damage=await _try(repository, manifest, settings, progress), engine=version)
    found = replace(found, depth="deep", seconds=round(time.monotonic() - started, 3))
    if not found.ok:
        # Before it is kept: who may not write the verdict down has to be heard all the same.
        log.error(
            "verify.damaged",
            message=f"The backup {found.backup} is damaged: {found.damage[0].problem}",
            backup=found.backup,
            damage=[f"{damage.what} {damage.problem}" for damage in found.damage[:MOST_DAMAGE_LOGGED]],
        )
    verdict = {**asdict(found), "ok": found.ok, "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
    return replace(found, record=await verdicts.keep(repository, found.backup, verdict))


async def _look(repository: Repository, identifier: str | None) -> tuple[Verification, Manifest | None]:
    started = time.monotonic()
    state = await require_head(repository)
    newest = names.manifest_id(state.head.manifest) if state.head.manifest else None
    try:
        name, manifest = await find(repository, identifier)
    except IntegrityError as error:
        wanted = identifier or newest or ""
        return Verification(wanted, "cheap", (Damage(names.manifest(wanted), error.message),)), None
    damage = damaged_packs(manifest, await packs_there(repository, manifest))
    if manifest.lineage != state.head.lineage:
        damage = (Damage(name, "belongs to another lineage than HEAD"), *damage)
    verification = Verification(
        names.manifest_id(name) or "",
        "cheap",
        damage,
        packs=len(manifest.packs),
        bytes=sum(pack.bytes for pack in manifest.packs.values()),
        points=manifest.points,
        seconds=round(time.monotonic() - started, 3),
    )
    return verification, manifest


async def _try(
    repository: Repository, manifest: Manifest, settings: Settings, progress: Progress
) -> tuple[Damage, ...]:
    """Restore a backup into a scratch directory and run an engine on it."""
    what = names.backup_id(manifest.epoch, manifest.seq)
    async with scratch(settings, "verify") as own:
        try:
            refuse_what_cannot_fit(manifest.live_bytes(), await asyncio.to_thread(process.room, own))
            await restore.place(repository, manifest, own.storage_dir, progress)
            async with running(own) as engine:
                different = await comparison.differences(engine.admin, manifest)
        except IntegrityError as error:
            return (Damage(what, error.message),)
        except EngineError as error:
            return (Damage(what, f"Qdrant does not serve it: {error.message}"),)
    return tuple(Damage(what, difference) for difference in different)
