"""What was pulled, committed as the newest backup.

Owns what the backup consists of: the collections that a scratch engine holds, and of the others what the backup
before has. It is committed on top of exactly the backup that the plan was made on. An instance that needs the lineage
meanwhile gets it, and the commit is tried again: its packs are in the bucket by then.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from runtime.backup import Backups
from runtime.composition import Base, Position
from runtime.edge.gate import Gate
from runtime.engine.process import Engine
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.intact import damaged_packs, packs_there
from runtime.repository.manifest import CollectionEntry, Manifest
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.sync.plan import Held
from runtime.taking import begun, taken

_MOST_CLAIMS = 3


@dataclass(frozen=True, slots=True)
class Content:
    """What a backup is to hold: `points` of each collection that the engine has, `kept` as the backup before has it."""

    points: Mapping[str, int]
    kept: frozenset[str]
    aliases: Mapping[str, str]


class Commit:
    """The commit of one pull. `announce` is called with the backup's id just before it becomes one."""

    def __init__(
        self,
        repository: Repository,
        settings: Settings,
        engine: Engine,
        held: Held,
        announce: Callable[[str], Awaitable[object]],
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._engine = engine
        self._held = held
        self._announce = announce

    async def run(self, content: Content) -> str:
        """Commit; return the backup's id.

        Raises RuntimeFailure (somebody committed meanwhile), NotTheWriter (instances need the lineage themselves),
        IntegrityError, EngineError, StoreError.
        """
        manifest: Manifest | None = None
        for attempt in range(1, _MOST_CLAIMS + 1):
            is_new = await self._repository.head() is None
            try:
                async with (begun if is_new else taken)(self._repository, self._settings, "sync") as lineage:
                    self._refuse_others(lineage)
                    position = lineage.position("pull")
                    if manifest is None:
                        manifest = await self._take(content, position)
                    else:
                        await self._check_packs(manifest)
                    manifest = _at(position, manifest)
                    identifier = names.backup_id(manifest.epoch, manifest.seq)
                    # Before the commit: a backup that came from a pull must never look like somebody's writes.
                    await self._announce(identifier)
                    await lineage.commit(manifest, clean=True)
                    return identifier
            except NotTheWriter:
                if attempt == _MOST_CLAIMS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _refuse_others(self, lineage: Lineage) -> None:
        newest = lineage.seen.head.manifest if lineage.seen else None
        if newest != self._held.name:
            raise RuntimeFailure(
                f"backup {names.manifest_id(newest or '')} was committed meanwhile: the instance has writes of its own",
                hint="Nothing was overwritten. Run it again: it tells what both sides changed",
            )

    async def _take(self, content: Content, position: Position) -> Manifest:
        before = self._held.manifest
        kept = {name: before.collections[name] for name in content.kept} if before else {}
        made = await self._stream(content, position) if content.points else None
        base = made or before
        if base is None:
            raise IntegrityError("there is nothing to commit")
        collections: dict[str, CollectionEntry] = {**kept, **(made.collections if made else {})}
        packs = {**(before.packs if before else {}), **(made.packs if made else {})}
        needed = {f.pack for c in collections.values() for s in c.shards.values() for f in s.files.values()}
        return replace(
            base,
            parent=self._held.name,
            created_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            reason=position.reason,
            collections=collections,
            aliases={alias: name for alias, name in content.aliases.items() if name in collections},
            packs={name: pack for name, pack in packs.items() if name in needed},
            journal=None,  # `taken` lets nobody commit while a journal holds what no backup does
            skipped=(),
        )

    async def _stream(self, content: Content, position: Position) -> Manifest:
        """Take a backup of the engine: nobody writes to it, so nothing is held."""
        gate = Gate()
        own = replace(self._settings, collections=tuple(sorted(content.points)))
        backups = Backups(own, self._engine, gate, self._repository)
        done = await backups.take(Base(None, self._held.name, gate.written()), position, must=False)
        if done.manifest is None:
            raise IntegrityError("the scratch engine holds nothing of what was pulled")
        found = {name: entry.points for name, entry in done.manifest.collections.items()}
        for name, points in content.points.items():
            if name not in found or found[name] not in {None, points}:
                raise IntegrityError(f"{found.get(name)} points of {name!r} would be backed up, {points} were compared")
        return done.manifest

    async def _check_packs(self, manifest: Manifest) -> None:
        if damage := damaged_packs(manifest, await packs_there(self._repository, manifest)):
            raise IntegrityError(f"{damage[0].what} {damage[0].problem} meanwhile", hint="Run it again")


def _at(position: Position, manifest: Manifest) -> Manifest:
    lineage, epoch, seq, writer = position.lineage, position.epoch, position.seq, position.writer
    return replace(manifest, lineage=lineage, epoch=epoch, seq=seq, writer=writer)
