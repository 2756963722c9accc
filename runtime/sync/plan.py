"""What a sync has to do: decided from both sides and the last time they were the same.

Owns the decision; asks nobody. Which side is newer is told by what changed since that time, by backup ids and
fingerprints, never by a clock. What cannot be told counts as changed.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from runtime.errors import ConfigError, RuntimeFailure
from runtime.repository.manifest import Manifest
from runtime.sync.meetings import Meeting
from runtime.sync.survey import Survey

_OVERWRITE = "--overwrite makes what is there the same as the backup; --delete-surplus with it deletes other points"


class Action(StrEnum):
    """What happens to one collection."""

    KEEP = "keep"
    COPY = "copy"
    DROP = "drop"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """One collection, what happens to it and why."""

    collection: str
    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """The repository's side: the newest backup, if any, and the last time it was the same as the engine.

    `has_unsaved`: the journal holds acknowledged writes beyond that backup.
    """

    backup: str | None = None
    name: str | None = None
    manifest: Manifest | None = None
    met: Meeting | None = None
    has_unsaved: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, by collection. `here` and `there` say how each side is; `aliases` whether those change."""

    steps: tuple[Step, ...]
    here: str
    there: str
    changes_aliases: bool = False
    refusal: RuntimeFailure | None = field(default=None, compare=False)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes_aliases and all(step.action is Action.KEEP for step in self.steps)


def pull(there: Survey, held: Held, *, overwrite: bool) -> Plan:
    """Decide what of an engine goes into the repository."""
    met, backed = held.met, held.manifest.collections if held.manifest else {}
    steps = []
    for name in sorted({*there.collections, *backed}):
        if name not in there.collections:
            steps.append(Step(name, Action.DROP, "it is gone from the source, or not in QDRANT_COLLECTION_NAME"))
        elif met is None or name not in met.collections or name not in backed:
            steps.append(Step(name, Action.COPY, "it is new here"))
        elif _unchanged(there, met, name):
            steps.append(Step(name, Action.KEEP, "nothing was written to it"))
        else:
            told = there.collections[name] is not None
            steps.append(Step(name, Action.COPY, "it changed" if told else "nobody can tell whether it changed"))
    aliases = met is None or dict(met.aliases) != dict(there.aliases)
    written_here = held.manifest is not None and (met is None or met.backup != held.backup)
    plan = Plan(tuple(steps), _here(held), _there(there, met), aliases)
    if plan.is_idle:
        return plan
    if held.has_unsaved:
        return _refused(plan, _unsaved())
    if written_here and not overwrite:
        return _refused(plan, _conflict(held, "the source"))
    return plan


def push(there: Survey, held: Held, begun: frozenset[str], *, overwrite: bool) -> Plan:
    """Decide what of the newest backup goes to an engine. `begun`: what an earlier run of this push left half done."""
    met, backed = held.met, held.manifest.collections if held.manifest else {}
    steps = []
    for name in sorted(backed):
        if name not in there.collections:
            steps.append(Step(name, Action.COPY, "the target does not have it"))
        elif name in begun:
            steps.append(Step(name, Action.COPY, "an earlier run did not finish it"))
        elif met is not None and met.backup == held.backup and _unchanged(there, met, name):
            steps.append(Step(name, Action.KEEP, "nothing changed since it was pushed"))
        elif overwrite:
            steps.append(Step(name, Action.COPY, "it is there, and is made the same"))
        else:
            steps.append(Step(name, Action.REFUSE, "the target has a collection of that name"))
    aliases = held.manifest is not None and not held.manifest.aliases.items() <= there.aliases.items()
    plan = Plan(tuple(steps), _here(held), _there(there, met), aliases)
    why = None if overwrite else _why_not(there, held, begun, plan)
    return _refused(plan, why) if why else plan


def _why_not(there: Survey, held: Held, begun: frozenset[str], plan: Plan) -> RuntimeFailure | None:
    """Return why a push must not go on unless it is told to overwrite, if so."""
    met = held.met
    known = met.collections if met else {}
    changed = [name for name in known if name not in begun and not _unchanged(there, met, name)]
    if met and changed and met.backup == held.backup:
        hint = "`sync pull` brings it here; --overwrite takes it back to the backup"
        return RuntimeFailure(f"the target is newer than backup {held.backup}: {_some(changed)}", hint=hint)
    if changed:
        return _conflict(held, "the target")
    if elsewhere := sorted(_redirected(there, held)):
        return ConfigError(f"the target has {_some(elsewhere)} for other collections", hint=_OVERWRITE)
    if taken := [step.collection for step in plan.steps if step.action is Action.REFUSE]:
        return ConfigError(f"the target is not empty: it has {_some(taken)}", hint=_OVERWRITE)
    return None


def _redirected(there: Survey, held: Held) -> list[str]:
    """Return the aliases of the target that would come to mean another collection."""
    wanted = held.manifest.aliases if held.manifest else {}
    return [f"alias {alias!r}" for alias, name in wanted.items() if there.aliases.get(alias, name) != name]


def _unchanged(there: Survey, met: Meeting | None, name: str) -> bool:
    found, known = there.collections.get(name), met.collections.get(name) if met else None
    return found is not None and known is not None and known.fingerprint == found


def _refused(plan: Plan, why: RuntimeFailure) -> Plan:
    steps = tuple(
        step if step.action is Action.KEEP else Step(step.collection, Action.REFUSE, step.why) for step in plan.steps
    )
    return Plan(steps, plan.here, plan.there, plan.changes_aliases, why)


def _conflict(held: Held, other: str) -> RuntimeFailure:
    since = f"since backup {held.met.backup}" if held.met else "and no backup is known that both had"
    return RuntimeFailure(
        f"both sides have data of their own {since}: backup {held.backup} here, and {other}",
        hint="Decide which one counts: --overwrite lets this command's source win; another prefix in BACKUP_URL keeps "
        "both",
    )


def _unsaved() -> RuntimeFailure:
    # Also with --overwrite: what no backup holds could not be brought back by `rollback`.
    return RuntimeFailure(
        "both sides have data of their own: the journal holds acknowledged writes that no backup does",
        hint="`python -m runtime backup` has the instance that runs save them; with none, start one. Then run it again",
    )


def _here(held: Held) -> str:
    return _newest(held) + (", and writes that only the journal holds" if held.has_unsaved else "")


def _newest(held: Held) -> str:
    if held.backup is None:
        return "no backup"
    if held.met is None:
        return f"backup {held.backup}, never synced with this engine"
    if held.met.backup == held.backup:
        return f"backup {held.backup}, nothing newer"
    return f"backup {held.backup}, newer than {held.met.backup}, the last that was synced"


def _there(there: Survey, met: Meeting | None) -> str:
    many = f"{len(there.collections)} collections, Qdrant {there.version}"
    if met is None:
        return many
    changed = sorted(
        {name for name in there.collections if not _unchanged(there, met, name)}
        | (met.collections.keys() - there.collections.keys())
    )
    return f"{many}, {f'changed: {_some(changed)}' if changed else 'unchanged'}"


def _some(found: list[str]) -> str:
    shown = ", ".join(found[:3])
    return f"{shown} and {len(found) - 3} more" if len(found) > 3 else shown
