"""`sync push`: the newest backup, brought to an engine elsewhere.

Owns the order: look, decide, place the backup under a scratch engine, bring each collection over, compare every point.
Nothing of the target is changed that the plan does not name, and nothing is called done that was not compared.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from runtime import comparison, restore
from runtime.errors import EngineError, IntegrityError, NothingThere
from runtime.logs import get_logger
from runtime.repository.repository import Repository
from runtime.repository.signed_urls import Signer, signer_for
from runtime.run_sink import Progress
from runtime.scratch import running
from runtime.settings import Settings
from runtime.sync import lease, meetings, plan, report, schema, sides
from runtime.sync import ledger as ledgers
from runtime.sync.delivering import Delivering
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.meetings import Meeting, Same
from runtime.sync.plan import Action, Held, Plan, Step
from runtime.sync.remote import Remote
from runtime.sync.report import Outcome, Report
from runtime.sync.survey import Survey, fingerprints, survey

log = get_logger()


@dataclass(frozen=True, slots=True)
class Told:
    """What a person allowed."""

    overwrite: bool
    delete_surplus: bool
    dry_run: bool


async def push(
    repository: Repository, settings: Settings, progress: Progress, told: Told, signer: Signer | None = None
) -> Report:
    """Bring the target to the newest backup's state. `signer`: another one than the store has.

    Raises ConfigError (the target is not empty), NothingThere (no backup), RuntimeFailure (both sides changed, the
    target is newer, another run), EngineError, IntegrityError, StoreError. What fails alone is told in the report.
    """
    async with sides.target_of(settings) as target:
        if told.dry_run:
            held = await _held(repository, target)
            decided = plan.push(await survey(target), held, frozenset(), overwrite=told.overwrite)
            return report.planned("push", target.url, decided, dry_run=True)
        async with lease.held(repository.store, renewal_seconds=settings.handover_timeout_seconds):
            held, there = await _held(repository, target), await survey(target)
            work = sides.Work("push", target.url, str(repository), held.backup or "")
            with ledgers.opened(settings.storage_dir, work.kind, str(work)) as ledger:
                begun = frozenset(ledger.entries)
                decided = plan.push(there, held, begun, overwrite=told.overwrite)
                if decided.refusal is not None:
                    raise decided.refusal
                if decided.is_idle:
                    await ledgers.discard(ledger)
                    return report.planned("push", target.url, decided)
                run = _Push(repository, target, there, held, decided)
                return await run.run(settings, ledger, progress, told, signer or signer_for(repository.store))


async def _held(repository: Repository, target: Remote) -> Held:
    held = await sides.held(repository, target)
    if held.manifest is None or not held.manifest.collections:
        raise NothingThere(f"{repository} holds no backup with a collection in it", hint="Check BACKUP_URL")
    return held


class _Push:
    """One run that has something to do."""

    def __init__(self, repository: Repository, target: Remote, there: Survey, held: Held, decided: Plan) -> None:
        if held.manifest is None:
            raise NothingThere(f"{repository} holds no backup")
        self._repository = repository
        self._target = target
        self._there = there
        self._held = held
        self._manifest = held.manifest
        self._decided = decided
        self._entries: dict[str, Entry] = {}

    async def run(
        self, settings: Settings, ledger: Ledger, progress: Progress, told: Told, signer: Signer | None
    ) -> Report:
        """Place, bring over, compare, note."""
        made_by = self._manifest.qdrant_version
        comparison.refuse_older(self._there.version, made_by, str(self._target))
        takes_files = self._there.is_whole and comparison.opens_snapshots_of(self._there.version, made_by)
        async with self._placed(settings, ledger, progress) as scratch:
            delivering = Delivering(
                self._repository,
                scratch,
                self._target,
                ledger,
                progress,
                backup=self._held.backup or "",
                is_whole=self._there.is_whole,
                may_delete=told.delete_surplus,
                signer=signer if takes_files else None,
            )
            outcomes = [await self._one(delivering, step) for step in self._decided.steps]
        is_whole = all(outcome.status in {"done", "unchanged"} for outcome in outcomes)
        if is_whole:
            await schema.set_aliases(self._target, self._manifest.aliases)
            await self._note()
            await ledgers.discard(ledger)
        return Report(
            "push",
            self._target.url,
            self._decided.here,
            self._decided.there,
            tuple(outcomes),
            backup=self._held.backup if is_whole or any(one.status == "done" for one in outcomes) else None,
        )

    @contextlib.asynccontextmanager
    async def _placed(self, settings: Settings, ledger: Ledger, progress: Progress) -> AsyncIterator[Remote]:
        """Run a scratch engine on the backup."""
        own = replace(settings, storage_dir=ledger.storage, collections=())
        await restore.place(self._repository, self._manifest, own.storage_dir, progress)
        async with running(own) as engine:
            if different := await comparison.differences(engine.admin, self._manifest):
                raise IntegrityError(f"backup {self._held.backup} is not what it says: {different[0]}")
            comparison.refuse_newer(self._manifest, engine.version)
            progress.files = progress.files_done = 0
            async with sides.local(engine.admin.port, own) as scratch:
                yield scratch

    async def _one(self, delivering: Delivering, step: Step) -> Outcome:
        if step.action is Action.KEEP:
            return Outcome(step.collection, "unchanged", step.why)
        try:
            entry = self._entries[step.collection] = await delivering.deliver(step.collection)
        except (EngineError, IntegrityError) as error:
            message = f"Collection {step.collection} was not pushed: {error}"
            log.exception("sync.failed", message=message, collection=step.collection)
            return Outcome(step.collection, "failed", str(error))
        return Outcome.of(entry, step.why)

    async def _note(self) -> None:
        """Keep that both sides are the same now, and by what the target is known again."""
        now = await fingerprints(self._target) if self._there.is_whole else {}
        met = self._held.met.collections if self._held.met else {}
        same = {name: Same.of(entry, now.get(name)) for name, entry in self._entries.items()}
        same |= {name: known for name, known in met.items() if name not in same and name in self._manifest.collections}
        meeting = Meeting(self._target.url, self._held.backup or "", "push", same, dict(self._manifest.aliases))
        await meetings.keep(self._repository, meeting)
