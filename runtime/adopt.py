"""Stock snapshots as the first backup of a lineage.

Owns the way there: an engine of our own recovers them, as it would by itself, and a normal backup of it is taken. So
whatever Qdrant reads can be adopted, and what is committed is what it made of it. Refuses a lineage that holds data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime.backup import Backups
from runtime.composition import Base
from runtime.edge.gate import Gate
from runtime.engine.process import Engine
from runtime.errors import ConfigError, IntegrityError
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.scratch import running, scratch
from runtime.settings import Settings
from runtime.stock_sources import Source
from runtime.taking import begun, taken


@dataclass(frozen=True, slots=True)
class Adopted:
    """The backup that was committed, and what each collection came from."""

    backup: str
    manifest: Manifest
    sources: tuple[Source, ...]


async def adopt(repository: Repository, sources: Sequence[Source], settings: Settings, progress: Progress) -> Adopted:
    """Commit these snapshots as the first backup. Nothing is claimed before an engine serves all of them.

    Raises ConfigError (the lineage holds data), IntegrityError, EngineError, NotTheWriter, StoreError.
    """
    is_new = await _refuse_data(repository)
    progress.files = len(sources)
    async with scratch(replace(settings, collections=()), "adopt") as own:
        arguments = []
        for number, source in enumerate(sources):
            file = own.storage_dir.with_name(f"{number}.snapshot")
            await source.bring(file, progress)
            arguments += ["--snapshot", f"{file}:{source.collection}"]
            progress.files_done += 1
            progress.on_change()
        async with running(own, arguments) as engine:
            there = await engine.admin.collections()
            if there != sorted(source.collection for source in sources):
                raise IntegrityError(f"Qdrant recovered {there} of these snapshots, not what was asked for")
            async with (begun if is_new else taken)(repository, settings, "adopt") as lineage:
                backup, manifest = await _commit(repository, lineage, own, engine)
    return Adopted(backup, manifest, tuple(sources))


async def _refuse_data(repository: Repository) -> bool:
    """Return whether there is no lineage yet. Raises ConfigError, IntegrityError."""
    state = await repository.head()
    if state is None and await repository.has_manifests():
        raise IntegrityError(f"{repository} holds backups but no HEAD", hint="`python -m runtime repair`")
    if state is not None and state.head.manifest is not None:
        raise ConfigError(
            f"{repository} holds a lineage with data: {names.manifest_id(state.head.manifest)} is its newest backup",
            hint="Give BACKUP_URL another prefix; or start an instance and recover the snapshots through it",
        )
    return state is None


async def _commit(repository: Repository, lineage: Lineage, settings: Settings, engine: Engine) -> tuple[str, Manifest]:
    """Take a backup of everything. Nobody writes to the engine: nothing is held."""
    gate = Gate()
    backups = Backups(settings, engine, gate, repository)
    base = Base(None, lineage.seen.head.manifest if lineage.seen else None, gate.written())
    done = await backups.take(base, lineage.position("adopt"), must=False)
    if done.manifest is None:
        raise IntegrityError("Qdrant holds nothing after it recovered the snapshots")
    name = await lineage.commit(done.manifest, clean=True)
    return names.manifest_id(name) or "", done.manifest
