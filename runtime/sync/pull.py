"""`sync pull`: what an engine elsewhere holds, as the newest backup.

Owns the order: look, decide, bring each collection into a scratch engine, compare, commit. Nothing is written to the
source but the snapshot that is made there and deleted again, and nothing is committed that was not compared.
"""

from dataclasses import replace

from runtime import comparison
from runtime.engine import process
from runtime.errors import EngineError, IntegrityError, NothingThere
from runtime.logs import get_logger
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.scratch import running
from runtime.settings import Settings
from runtime.sync import lease, meetings, plan, report, sides
from runtime.sync import ledger as ledgers
from runtime.sync.bringing import Bringing
from runtime.sync.committing import Commit, Content
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.meetings import Meeting, Same
from runtime.sync.plan import Action, Held, Plan, Step
from runtime.sync.remote import Remote
from runtime.sync.report import Outcome, Report
from runtime.sync.survey import Survey, fingerprints, survey

log = get_logger()


async def pull(
    repository: Repository, settings: Settings, progress: Progress, *, overwrite: bool, dry_run: bool
) -> Report:
    """Bring the source's state into the repository, if it changed.

    Raises ConfigError, NothingThere (the source is empty), RuntimeFailure (both sides changed; another run),
    EngineError, IntegrityError, NotTheWriter, StoreError. A collection that fails is told in the report.
    """
    async with sides.source_of(settings) as source:
        if dry_run:
            there = await survey(source, settings.collections)
            decided = plan.pull(there, await sides.held(repository, source), overwrite=overwrite)
            return report.planned("pull", source.url, decided, dry_run=True)
        async with lease.held(repository.store, renewal_seconds=settings.handover_timeout_seconds):
            there = await survey(source, settings.collections)
            held = await sides.held(repository, source)
            decided = _decided(source, there, held, overwrite=overwrite)
            work = sides.Work("pull", source.url, str(repository))
            with ledgers.opened(settings.storage_dir, work.kind, str(work)) as ledger:
                if decided.is_idle:
                    await ledgers.discard(ledger)
                    return report.planned("pull", source.url, decided)
                return await _Pull(repository, source, there, held, decided).run(settings, ledger, progress)


def _decided(source: Remote, there: Survey, held: Held, *, overwrite: bool) -> Plan:
    if not there.collections:
        raise NothingThere(
            f"{source} holds no collection, so nothing was changed here",
            hint="Check SOURCE_URL and QDRANT_COLLECTION_NAME",
        )
    decided = plan.pull(there, held, overwrite=overwrite)
    if decided.refusal is not None:
        raise decided.refusal
    return decided


async def _engine_version(settings: Settings, there: Survey, held: Held) -> str:
    """Return our own engine's version. Raises EngineError when it is too old for what the source has."""
    version = await process.version(settings)
    if version is None:
        raise EngineError(f"{settings.qdrant_bin} does not say its version", hint="Set QDRANT_BIN to Qdrant's program")
    if held.manifest is not None:
        comparison.refuse_newer(held.manifest, version)
    comparison.refuse_older(version, there.version, "the engine of this image")
    return version


class _Pull:
    """One run that has something to do."""

    def __init__(self, repository: Repository, source: Remote, there: Survey, held: Held, decided: Plan) -> None:
        self._repository = repository
        self._source = source
        self._there = there
        self._held = held
        self._decided = decided
        self._entries: dict[str, Entry] = {}
        self._same: dict[str, Same] = {}
        self._aliases: dict[str, str] = {}

    async def run(self, settings: Settings, ledger: Ledger, progress: Progress) -> Report:
        """Bring, compare, commit."""
        version = await _engine_version(settings, self._there, self._held)
        own = replace(settings, storage_dir=ledger.storage, collections=())
        async with running(own) as engine, sides.local(engine.admin.port, own) as scratch:
            bringing = Bringing(
                self._source,
                scratch,
                ledger,
                progress,
                is_whole=self._there.is_whole,
                can_snapshot=self._there.is_whole and comparison.opens_snapshots_of(version, self._there.version),
            )
            await bringing.clear({step.collection for step in self._decided.steps if step.action is Action.COPY})
            outcomes = [await self._one(bringing, step) for step in self._decided.steps]
            content = await self._content(outcomes)
            backup = None
            is_less = any(one.status == "dropped" for one in outcomes)
            if content.points or (content.kept and (is_less or self._decided.changes_aliases)):
                commit = Commit(self._repository, own, engine, self._held, self._announce)
                backup = await commit.run(content)
        report = Report(
            "pull", self._source.url, self._decided.here, self._decided.there, tuple(outcomes), backup=backup
        )
        if not report.failed:
            await ledgers.discard(ledger)
        return report

    async def _one(self, bringing: Bringing, step: Step) -> Outcome:
        if step.action is Action.KEEP:
            return Outcome(step.collection, "unchanged", step.why)
        if step.action is Action.DROP:
            return Outcome(step.collection, "dropped", step.why)
        try:
            entry = self._entries[step.collection] = await bringing.bring(step.collection)
        except (EngineError, IntegrityError) as error:
            # One collection's failure is not the others': it is told in the end, and the run fails.
            message = f"Collection {step.collection} was not pulled: {error}"
            log.exception("sync.failed", message=message, collection=step.collection)
            return Outcome(step.collection, "failed", str(error))
        if self._is_what_it_was(entry):
            del self._entries[step.collection]
            return Outcome(
                step.collection, "unchanged", "every point is what it was", entry.by, entry.points, entry.digest
            )
        return Outcome.of(entry, step.why)

    def _is_what_it_was(self, entry: Entry) -> bool:
        """Whether a collection that was read again, because nobody could tell, holds what the newest backup does."""
        met = self._held.met
        known = met.collections.get(entry.collection) if met and met.backup == self._held.backup else None
        if known is None or not entry.reading or self._held.manifest is None:
            return False
        is_here = entry.collection in self._held.manifest.collections
        return is_here and (known.digest, known.points, known.essence) == (entry.digest, entry.points, entry.essence)

    async def _content(self, outcomes: list[Outcome]) -> Content:
        """Return what the backup is to hold: of what failed, what the backup before has."""
        now = await fingerprints(self._source) if self._there.is_whole else {}
        before = self._held.manifest.collections.keys() if self._held.manifest else set()
        met = self._held.met.collections if self._held.met else {}
        for name, entry in self._entries.items():
            self._same[name] = Same.of(entry, now.get(name))
        kept = {one.collection for one in outcomes if one.status in {"unchanged", "failed"}} & before
        self._same |= {one.collection: met[one.collection] for one in outcomes if one.status == "unchanged"}
        held = kept | self._entries.keys()
        self._aliases = {alias: name for alias, name in (await self._source.aliases()).items() if name in held}
        return Content({name: entry.points for name, entry in self._entries.items()}, frozenset(kept), self._aliases)

    async def _announce(self, backup: str) -> None:
        meeting = Meeting(self._source.url, backup, "pull", self._same, self._aliases)
        await meetings.keep(self._repository, meeting)
