"""Which backups stay and what may be deleted: decided from what is in the bucket, by a pure function.

Owns the decision; reads nothing and deletes nothing. Two questions are kept apart:

- May it ever be needed again? Answered by (epoch, seq) alone. What HEAD's chain has passed can never be committed any
  more, however long its writer slept; what it has not passed is in somebody's hands and is not touched.
- Is anybody still reading it? Nobody knows, so what was superseded is left alone for a grace. That needs a clock: an
  object counts as superseded when the first backup after it was committed, by that backup's `created_at` or the
  latest one before it, and 'now' is the newest backup's `created_at`, or this machine's clock where that is earlier.
  So a bucket that gets no backups loses none, and one clock that is ahead is not enough to cut the grace short. If two
  are, a restore in flight fails on a missing object and starts again: no commit depends on the grace.

Where there is a journal, the backup from which the first moment of the recovery window is reached stays, too: it and
the journal lead to every later one.

Of every period the newest backup is kept, for as many periods as were asked for and hold a backup: gaps do not count,
so backups that fail for a month eat no old ones. A backup with a missing pack takes nobody's place.
"""

import bisect
import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runtime.errors import ConfigError, IntegrityError
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.journal_retention import NO_JOURNAL, Journal


@dataclass(frozen=True, slots=True)
class Policy:
    """How many backups to keep: of the last ones, and of hours, days and ISO weeks (UTC).

    `window`: how far back any moment can be recovered.
    """

    last: int
    hourly: int
    daily: int
    weekly: int
    grace: dt.timedelta
    window: dt.timedelta = dt.timedelta()


@dataclass(frozen=True, slots=True)
class Entry:
    """One manifest's object. `created_at` None: it cannot be read. `intact`: its packs are all there.

    `contains`: up to where it contains the journal.
    """

    name: str
    created_at: dt.datetime | None
    packs: frozenset[str]
    intact: bool
    contains: JournalPosition | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to delete, in this order, and why each manifest that stays does."""

    orphans: tuple[str, ...]
    backups: tuple[str, ...]
    packs: tuple[str, ...]
    journal: tuple[JournalPosition, ...]
    kept: Mapping[str, tuple[str, ...]]


_PERIODS: tuple[tuple[str, Callable[[dt.datetime], object]], ...] = (
    ("hourly", lambda at: (at.date(), at.hour)),
    ("daily", lambda at: at.date()),
    ("weekly", lambda at: at.isocalendar()[:2]),
)


def plan(
    head: Head,
    entries: Sequence[Entry],
    packs: Sequence[str],
    policy: Policy,
    *,
    verified: str | None,
    now: dt.datetime,
    journal: Journal = NO_JOURNAL,
) -> Plan:
    """Decide. Raises ConfigError (a policy that keeps nothing), IntegrityError (the newest backup is not intact)."""
    if policy.last + policy.hourly + policy.daily + policy.weekly < 1:
        raise ConfigError("this would keep no backup but the newest", hint="Give a --keep-… of at least 1")
    by_name = {entry.name: entry for entry in entries}
    chain = [by_name[name] for name in committed(by_name, head) if name in by_name]
    if not chain or chain[0].name != head.manifest or not chain[0].intact or chain[0].created_at is None:
        raise IntegrityError(
            f"the newest backup {head.manifest} is damaged, so the older ones stay",
            hint="`python -m runtime verify` says what is wrong",
        )
    now = min(now, chain[0].created_at)
    past = _Past(chain, now - policy.grace)
    kept = _chosen(chain, policy)
    kept[chain[0].name].insert(0, "newest")
    if verified in by_name:
        kept.setdefault(verified, []).append("verified")
    base = _window_base(chain, now - policy.window) if journal.objects else None
    if base is not None:
        kept.setdefault(base.name, []).append("recovery window")
    unreadable = [_seq(entry) for entry in entries if entry.created_at is None]
    reached = {entry.name for entry in chain}
    orphans = [entry for entry in entries if entry.name not in reached]
    gone_orphans = [e for e in orphans if e.created_at and e.name not in kept and _passed(e, head) and past(_seq(e))]
    # An orphan left behind alone at its number would be taken for the backup that was committed there.
    leaving = {entry.name for entry in gone_orphans}
    blocked = {_seq(entry) for entry in orphans if entry.name not in leaving} | set(unreadable)
    gone = [e for e in reversed(chain) if e.name not in kept and past(_seq(e)) and _seq(e) not in blocked]
    going = leaving | {entry.name for entry in gone}
    for entry in entries:
        if entry.name not in going and entry.name not in kept:
            kept[entry.name] = ["cannot be read" if entry.created_at is None else "grace"]
    staying = [entry for entry in chain if entry.name not in going]
    needed = {pack for entry in entries if entry.name not in going for pack in entry.packs}
    # Nobody knows what an unreadable manifest names: anything up to its own number.
    needed_up_to = max(unreadable, default=-1)
    return Plan(
        orphans=tuple(entry.name for entry in gone_orphans),
        backups=tuple(entry.name for entry in gone),
        packs=tuple(
            pack
            for pack in packs
            if pack not in needed
            and (position := names.pack_position(pack)) is not None
            and position[1] > needed_up_to
            and _is_behind(position, head)
            and past(position[1])
        ),
        journal=journal.superseded(_needed(staying, base, verified, now - policy.window), head.epoch),
        kept={name: tuple(reasons) for name, reasons in kept.items()},
    )


def _window_base(chain: Sequence[Entry], start: dt.datetime) -> Entry | None:
    """Return the newest intact backup that is not younger than `start`; the oldest when all are."""
    readable = [entry for entry in chain if entry.intact and entry.created_at is not None]
    older = (entry for entry in readable if entry.created_at is not None and entry.created_at <= start)
    return next(older, readable[-1] if readable else None)


def _needed(
    staying: Sequence[Entry], base: Entry | None, verified: str | None, start: dt.datetime
) -> list[JournalPosition | None]:
    """Return up to where each backup contains the journal that must be brought forward; None: nothing may go."""
    if base is None or base.created_at is None or base.created_at > start:
        return [None]  # nothing is as old as the window yet, or nobody knows
    return [
        entry.contains
        for entry in staying
        if entry.name in {base.name, verified} or (entry.created_at is not None and entry.created_at > start)
    ]


def _chosen(chain: Sequence[Entry], policy: Policy) -> dict[str, list[str]]:
    """Return which committed backups the policy keeps, and as what; the newest is always among the keys."""
    kept: dict[str, list[str]] = {chain[0].name: []}
    intact = [entry for entry in chain if entry.intact and entry.created_at is not None]
    for entry in intact[: policy.last]:
        kept.setdefault(entry.name, []).append("last")
    for (reason, period_of), most in zip(_PERIODS, (policy.hourly, policy.daily, policy.weekly), strict=True):
        seen: set[object] = set()
        for entry in intact:
            if entry.created_at is None or (period := period_of(entry.created_at.astimezone(dt.UTC))) in seen:
                continue
            if len(seen) == most:
                break
            seen.add(period)
            kept.setdefault(entry.name, []).append(reason)
    return kept


class _Past:
    """Whether a number in the chain was superseded before the grace."""

    def __init__(self, chain: Sequence[Entry], before: dt.datetime) -> None:
        times = sorted((_seq(entry), entry.created_at) for entry in chain if entry.created_at is not None)
        self._numbers = [number for number, _ in times]
        # No backup is older than one before it, whatever its clock said. So a deletion makes nothing else older.
        self._times = list(itertools.accumulate((at for _, at in times), max))
        self._before = before

    def __call__(self, seq: int) -> bool:
        following = bisect.bisect_right(self._numbers, seq)
        return following < len(self._times) and self._times[following] <= self._before


def _passed(entry: Entry, head: Head) -> bool:
    identifier = names.manifest_id(entry.name)
    return identifier is not None and _is_behind(names.order(identifier), head)


def _is_behind(position: tuple[int, int], head: Head) -> bool:
    """Whether nobody can commit at this (epoch, seq) any more: its epoch is over, or its number is taken."""
    epoch, seq = position
    return epoch < head.epoch or (epoch == head.epoch and seq <= head.seq)


def _seq(entry: Entry) -> int:
    identifier = names.manifest_id(entry.name)
    return names.order(identifier)[1] if identifier is not None else -1
