"""What a sync came to, by collection.

Owns the facts; how they are shown is the command's.
"""

from dataclasses import dataclass
from typing import Any, Literal

from runtime.errors import RuntimeFailure
from runtime.sync.ledger import Entry
from runtime.sync.plan import Action, Plan

Status = Literal["done", "unchanged", "dropped", "failed", "planned", "refused"]

_PLANNED: dict[Action, Status] = {
    Action.KEEP: "unchanged",
    Action.COPY: "planned",
    Action.DROP: "planned",
    Action.REFUSE: "refused",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One collection: `by` which way, `points` and `digest` as they were compared, `why` or the error."""

    collection: str
    status: Status
    why: str
    by: str = ""
    points: int | None = None
    digest: str | None = None

    @classmethod
    def of(cls, entry: Entry, why: str) -> "Outcome":
        """Return what became of a collection that was brought over."""
        digest = entry.digest if entry.reading else None
        return cls(entry.collection, "done", why, entry.by, entry.points, digest)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `backup`: the one that was committed or pushed, None when there was none.

    `refusal`: why a dry run's plan would be refused.
    """

    direction: Literal["pull", "push"]
    remote: str
    here: str
    there: str
    outcomes: tuple[Outcome, ...]
    backup: str | None = None
    dry_run: bool = False
    refusal: RuntimeFailure | None = None

    @property
    def failed(self) -> bool:
        """Whether any collection failed."""
        return any(outcome.status == "failed" for outcome in self.outcomes)

    @property
    def unchanged(self) -> bool:
        """Whether there was nothing to do."""
        return self.backup is None and all(outcome.status == "unchanged" for outcome in self.outcomes)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON is made of."""
        return {
            "direction": self.direction,
            "remote": self.remote,
            "here": self.here,
            "there": self.there,
            "backup": self.backup,
            "dry_run": self.dry_run,
            "refusal": self.refusal and {"error": self.refusal.message, "hint": self.refusal.hint},
            "collections": [
                {
                    "collection": one.collection,
                    "status": one.status,
                    "why": one.why,
                    "by": one.by,
                    "points": one.points,
                    "digest": one.digest,
                }
                for one in self.outcomes
            ],
        }


def planned(direction: Literal["pull", "push"], remote: str, plan: Plan, *, dry_run: bool = False) -> Report:
    """Return a plan as a report: what would become of each collection."""
    outcomes = tuple(Outcome(step.collection, _PLANNED[step.action], step.why) for step in plan.steps)
    return Report(direction, remote, plan.here, plan.there, outcomes, dry_run=dry_run, refusal=plan.refusal)
