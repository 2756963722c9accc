"""What holds for every bucket, however its clocks went and whatever was left behind in it."""

import datetime as dt
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.retention import Entry, Plan, Policy, plan

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Bucket:
    """What a decision is made from."""

    head: Head
    entries: tuple[Entry, ...]
    packs: tuple[str, ...]
    verified: str | None
    now: dt.datetime

    def decide(self, policy: Policy) -> Plan:
        """Decide on it."""
        return plan(self.head, self.entries, self.packs, policy, verified=self.verified, now=self.now)

    def without(self, gone: set[str]) -> "Bucket":
        """Return what is left after these were deleted."""
        entries = tuple(entry for entry in self.entries if entry.name not in gone)
        return replace(self, entries=entries, packs=tuple(pack for pack in self.packs if pack not in gone))


times = st.integers(-60 * 24, 60 * 24 * 60).map(lambda minutes: START + dt.timedelta(minutes=minutes))
counts = st.integers(0, 5)
graces = st.integers(0, 72).map(lambda hours: dt.timedelta(hours=hours))
policies = st.builds(Policy, counts, counts, counts, counts, graces).filter(
    lambda policy: policy.last + policy.hourly + policy.daily + policy.weekly > 0
)


@st.composite
def buckets(draw: st.DrawFn) -> Bucket:
    """Make a chain with claims in between, increments, orphans, unreadable manifests and packs that nobody names."""
    entries: list[Entry] = []
    packs: set[str] = set()
    epoch, standing_on = 1, frozenset[str]()
    length = draw(st.integers(1, 12))
    for seq in range(1, length + 1):
        for orphan_epoch in range(epoch, epoch := epoch + draw(st.integers(0, 2))):
            own = names.pack(orphan_epoch, seq, 0, START)
            packs.add(own)
            if draw(st.booleans()):
                entries.append(_entry(draw, orphan_epoch, seq, standing_on | {own}))
        own = names.pack(epoch, seq, 0, START)
        dropped = draw(st.sets(st.sampled_from(sorted(standing_on)))) if standing_on else set()
        standing_on = (standing_on - dropped) | {own}
        packs |= {own, names.pack(epoch, seq, 1, START)}
        entries.append(_entry(draw, epoch, seq, standing_on))
    entries[-1] = replace(entries[-1], created_at=entries[-1].created_at or draw(times), packs=standing_on, intact=True)
    newest = entries[-1].name
    packs |= {names.pack(epoch, length + 1, 0, START)}
    readable = [entry.name for entry in entries if entry.intact]
    head_epoch = epoch + draw(st.integers(0, 1))
    head = Head("lineage", head_epoch, "writer", length, newest, "0" * 64, clean=False, requested_by=None)
    chain = [name for name in committed((entry.name for entry in entries), head) if name in readable]
    verified = draw(st.sampled_from([None, *chain]))
    return Bucket(head, tuple(entries), tuple(sorted(packs)), verified, draw(times))


def _entry(draw: st.DrawFn, epoch: int, seq: int, packs: frozenset[str]) -> Entry:
    """Make one manifest: mostly good."""
    name = names.manifest(names.backup_id(epoch, seq))
    kind = draw(st.sampled_from(["good", "good", "good", "broken", "unreadable"]))
    if kind == "unreadable":
        return Entry(name, None, frozenset(), intact=False)
    return Entry(name, draw(times), packs, intact=kind == "good")


def deletions(decided: Plan) -> list[str]:
    """Return what goes, in order."""
    return [*decided.orphans, *decided.backups, *decided.packs]


@given(buckets(), policies)
def test_newest_verified_and_what_they_stand_on_never_go(bucket: Bucket, policy: Policy) -> None:
    """Whatever the policy."""
    gone = set(deletions(bucket.decide(policy)))
    for name in (bucket.head.manifest, bucket.verified):
        entry = next((entry for entry in bucket.entries if entry.name == name), None)
        if entry is not None:
            assert not ({entry.name} | entry.packs) & gone


@given(buckets(), policies)
def test_no_backup_loses_a_pack(bucket: Bucket, policy: Policy) -> None:
    """Every manifest that stays keeps every pack it names that was there."""
    gone = set(deletions(bucket.decide(policy)))
    for entry in bucket.entries:
        assert entry.name in gone or not entry.packs & gone


@given(buckets(), policies)
def test_a_second_time_there_is_nothing_to_delete(bucket: Bucket, policy: Policy) -> None:
    """What stays once, stays until there is a newer backup."""
    after = bucket.without(set(deletions(bucket.decide(policy))))

    assert deletions(after.decide(policy)) == []


@given(buckets(), policies, st.data())
def test_a_crash_anywhere_costs_no_more_than_the_plan_would(
    bucket: Bucket, policy: Policy, data: st.DataObject
) -> None:
    """After any first part of the deletions a new decision deletes nothing that the whole plan would have kept."""
    planned = deletions(bucket.decide(policy))
    done = set(planned[: data.draw(st.integers(0, len(planned)))])

    assert set(deletions(bucket.without(done).decide(policy))) <= set(planned) - done


@given(buckets(), policies, policies)
def test_who_asks_for_more_keeps_more(bucket: Bucket, policy: Policy, other: Policy) -> None:
    """A policy that is at least as generous in everything deletes nothing more."""
    generous = Policy(
        max(policy.last, other.last),
        max(policy.hourly, other.hourly),
        max(policy.daily, other.daily),
        max(policy.weekly, other.weekly),
        max(policy.grace, other.grace),
    )

    assert set(deletions(bucket.decide(generous))) <= set(deletions(bucket.decide(policy)))


@given(buckets(), policies, st.data())
def test_no_orphan_ever_looks_committed(bucket: Bucket, policy: Policy, data: st.DataObject) -> None:
    """After any first part of the deletions the chain is a part of what it was."""
    planned = deletions(bucket.decide(policy))
    left = bucket.without(set(planned[: data.draw(st.integers(0, len(planned)))]))

    before = committed((entry.name for entry in bucket.entries), bucket.head)
    assert set(committed((entry.name for entry in left.entries), bucket.head)) <= set(before)


@given(buckets(), policies)
def test_what_may_still_be_committed_never_goes(bucket: Bucket, policy: Policy) -> None:
    """Neither the writer's next number nor anything of a later epoch."""
    for name in deletions(bucket.decide(policy)):
        epoch, seq = names.pack_position(name) or names.order(names.manifest_id(name) or "")
        assert (epoch, seq) <= (bucket.head.epoch, bucket.head.seq) or epoch < bucket.head.epoch
