"""The newest backups as the status page and the metrics tell of them, read from the bucket and remembered.

Owns what is told of each, and how often the bucket is asked: a page that is reloaded must not cost a listing each time.
A manifest never changes, so it is read once. Decides nothing about which backups count: that is the catalogue's.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runtime.errors import IntegrityError, StoreError
from runtime.reach import reach
from runtime.repository import names, verdicts
from runtime.repository.catalogue import listing
from runtime.repository.repository import Repository

SHOWN: Final = 30

_READS_AT_ONCE: Final = 8
_FRESH_SECONDS: Final = 10.0
_REACH_FRESH_SECONDS: Final = 600.0
_LONGEST_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Backup:
    """One committed backup. `bytes`: what it added to the bucket. `verified`: the last verdict, None without one."""

    id: str
    created_at: str
    reason: str
    points: int
    bytes: int
    verified: bool | None
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the bucket held when it was looked at. `unverified`: how many are newer than the last verified one.

    `reachable_from`: from when on any moment can be recovered, seconds since 1970; None where none can.
    """

    backups: tuple[Backup, ...]
    count: int
    unverified: int
    reachable_from: float | None = None


class Overview:
    """Asks the bucket at most every few seconds."""

    def __init__(self, repository: Repository, clock: Callable[[], float] = time.monotonic) -> None:
        self.error: str | None = None
        self.seen: Seen | None = None
        self._repository = repository
        self._clock = clock
        self._looked_at = float("-inf")
        self._reach: float | None = None
        self._reach_known_at = float("-inf")
        self._lock = asyncio.Lock()
        self._known: dict[str, Backup] = {}

    async def look(self, newest: str | None) -> Seen | None:
        """Return what the bucket holds, or what it held last when it does not answer (`error` then says so).

        `newest`: the manifest that this instance knows to be there; when it was not seen yet, the bucket is asked.
        """
        async with self._lock:
            known = self.seen.backups[0].id if self.seen and self.seen.backups else None
            is_behind = newest is not None and names.manifest_id(newest) != known and self.error is None
            if is_behind or self._clock() - self._looked_at > _FRESH_SECONDS:
                try:
                    async with asyncio.timeout(_LONGEST_SECONDS):
                        self.seen = await self._read()
                    self.error = None
                except (StoreError, IntegrityError, TimeoutError) as error:
                    self.error = str(error) or f"it did not answer within {_LONGEST_SECONDS:.0f} s"
                self._looked_at = self._clock()
            return self.seen

    async def _read(self) -> Seen:
        listed = await listing(self._repository)
        verdict_names = [info.name async for info in self._repository.objects(names.VERIFIED)]
        looked_at = {backup for name in verdict_names if (backup := verdicts.backup_of(name))}
        at_once = asyncio.Semaphore(_READS_AT_ONCE)

        async def one(identifier: str, manifest: str) -> Backup:
            async with at_once:
                known = self._known.get(identifier) or await self._describe(identifier, manifest)
                if identifier not in looked_at:
                    return known
                return _with_verdict(known, good=await verdicts.good(self._repository, verdict_names, identifier))

        backups = await asyncio.gather(*(one(entry["id"], entry["manifest"]) for entry in listed[:SHOWN]))
        self._known = {backup.id: _with_verdict(backup, good=None) for backup in backups if not backup.damaged}
        unverified = _newer_than_verified([entry["id"] for entry in listed], looked_at)
        return Seen(tuple(backups), len(listed), unverified, await self._reachable_from())

    async def _reachable_from(self) -> float | None:
        """Return where the recovery window begins: it takes a few listings, and only `prune` moves it."""
        if self._clock() - self._reach_known_at > _REACH_FRESH_SECONDS:
            state = await self._repository.head()
            found = (await reach(self._repository, state.head)).start if state else None
            self._reach = None if found is None else found.timestamp()
            self._reach_known_at = self._clock()
        return self._reach

    async def _describe(self, identifier: str, name: str) -> Backup:
        try:
            manifest = await self._repository.manifest(name)
        except IntegrityError:
            return Backup(identifier, "", "", 0, 0, verified=None, damaged=True)
        added = sum(pack.bytes for name, pack in manifest.packs.items() if f"/{identifier}-" in name)
        return Backup(identifier, manifest.created_at, manifest.reason, manifest.points, added, verified=None)


def _with_verdict(backup: Backup, *, good: bool | None) -> Backup:
    return Backup(
        backup.id, backup.created_at, backup.reason, backup.points, backup.bytes, verified=good, damaged=backup.damaged
    )


def _newer_than_verified(newest_first: list[str], looked_at: set[str]) -> int:
    return next((place for place, backup in enumerate(newest_first) if backup in looked_at), len(newest_first))
