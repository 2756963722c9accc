import datetime as dt

import pytest

from runtime.errors import ConfigError, IntegrityError
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.retention import Entry, Plan, Policy, plan

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
NEVER = dt.timedelta()
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def pack(epoch: int, seq: int, number: int = 0) -> str:
    """Return a pack's name."""
    return names.pack(epoch, seq, number, MONDAY)


def entry(
    seq: int, at: dt.datetime | None, *, epoch: int = 1, packs: frozenset[str] | None = None, intact: bool = True
) -> Entry:
    """Return a manifest that stands on its own pack, or on others."""
    name = names.manifest(names.backup_id(epoch, seq))
    return Entry(name, at, frozenset({pack(epoch, seq)}) if packs is None else packs, intact)


def head(seq: int, epoch: int = 1, *, committed_epoch: int | None = None) -> Head:
    """Return a HEAD whose newest backup is `seq`."""
    name = names.manifest(names.backup_id(committed_epoch or epoch, seq))
    return Head("lineage", epoch, "writer", seq, name, "0" * 64, clean=False, requested_by=None)


def keep(last: int = 0, hourly: int = 0, daily: int = 0, weekly: int = 0, grace: dt.timedelta = NEVER) -> Policy:
    """Return a policy."""
    return Policy(last, hourly, daily, weekly, grace)


def decide(
    entries: list[Entry],
    policy: Policy,
    *,
    at: Head | None = None,
    verified: str | None = None,
    now: dt.datetime = MONDAY + 1000 * DAY,
    packs: list[str] | None = None,
) -> Plan:
    """Decide on a chain that ends with the last entry."""
    seq = names.order(names.manifest_id(entries[-1].name) or "")[1]
    there = sorted({p for one in entries for p in one.packs}) if packs is None else packs
    return plan(at or head(seq), entries, there, policy, verified=verified, now=now)


def stays(decided: Plan) -> list[int]:
    """Return the numbers that stay."""
    return sorted(names.order(names.manifest_id(name) or "")[1] for name in decided.kept)


def test_the_last_ones_stay() -> None:
    """Counted from the newest, in the order of commits."""
    chain = [entry(seq, MONDAY + seq * HOUR) for seq in range(1, 11)]

    assert stays(decide(chain, keep(last=3))) == [8, 9, 10]


def test_the_newest_of_each_hour_day_and_week_stays() -> None:
    """Periods of the calendar, in UTC."""
    chain = [entry(seq, MONDAY + seq * dt.timedelta(minutes=30)) for seq in range(1, 101)]  # to Wednesday, 02:00
    assert stays(decide(chain, keep(hourly=3))) == [97, 99, 100]
    assert stays(decide(chain, keep(daily=5))) == [47, 95, 100]

    weeks = [entry(seq, MONDAY + (seq - 1) * DAY) for seq in range(1, 30)]
    assert stays(decide(weeks, keep(weekly=3))) == [21, 28, 29]


def test_gaps_do_not_count() -> None:
    """After a month without backups the ones before it are still the last two days there are."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + DAY), entry(3, MONDAY + 40 * DAY)]

    assert stays(decide(chain, keep(daily=3))) == [1, 2, 3]


def test_the_time_that_passes_without_backups_takes_nothing() -> None:
    """Today is not asked for: a lineage that rests for years keeps what it had."""
    chain = [entry(seq, MONDAY + seq * DAY) for seq in range(1, 6)]
    policy = keep(daily=3, grace=DAY)

    assert decide(chain, policy, now=MONDAY + 6 * DAY) == decide(chain, policy, now=MONDAY + 6000 * DAY)


def test_the_newest_stays_whatever_its_clock_says() -> None:
    """Order is the order of commits: a clock that is a day behind changes nothing about which is newest."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + 5 * DAY), entry(3, MONDAY + DAY)]

    assert 3 in stays(decide(chain, keep(last=1)))


def test_the_last_verified_backup_stays() -> None:
    """Also when no period asks for it."""
    chain = [entry(seq, MONDAY + seq * HOUR) for seq in range(1, 6)]
    decided = decide(chain, keep(last=1), verified=chain[1].name)

    assert stays(decided) == [2, 5]
    assert decided.kept[chain[1].name] == ("verified",)
    assert pack(1, 2) not in decided.packs


def test_a_pack_that_a_kept_backup_names_stays() -> None:
    """Increments stand on the packs of backups that are gone."""
    chain = [
        entry(1, MONDAY),
        entry(2, MONDAY + HOUR),
        entry(3, MONDAY + 2 * HOUR, packs=frozenset({pack(1, 1), pack(1, 3)})),
    ]
    decided = decide(chain, keep(last=1))

    assert decided.backups == (chain[0].name, chain[1].name)
    assert decided.packs == (pack(1, 2),)


def test_a_backup_with_a_missing_pack_takes_nobodys_place() -> None:
    """What cannot be restored is not what was asked to be kept."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + HOUR, intact=False), entry(3, MONDAY + 2 * HOUR)]

    assert stays(decide(chain, keep(last=2))) == [1, 3]


def test_what_was_superseded_within_the_grace_stays() -> None:
    """A restore that began before may still read it: what counts is when the next one was committed."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + 10 * DAY), entry(3, MONDAY + 10 * DAY + HOUR)]

    assert stays(decide(chain, keep(last=1, grace=2 * HOUR))) == [1, 2, 3]
    assert stays(decide(chain, keep(last=1, grace=HOUR))) == [2, 3]


def test_one_clock_that_is_ahead_does_not_cut_the_grace_short() -> None:
    """The earlier of the newest backup's clock and this machine's is 'now'."""
    chain = [entry(1, MONDAY), entry(2, MONDAY), entry(3, MONDAY + 2 * DAY)]

    assert stays(decide(chain, keep(last=1, grace=DAY), now=MONDAY)) == [1, 2, 3]
    assert stays(decide(chain, keep(last=1, grace=DAY), now=MONDAY + 2 * DAY)) == [2, 3]


def test_an_orphan_goes_before_the_backup_that_was_committed_at_its_number() -> None:
    """Left alone, it would be taken for that backup."""
    orphan = entry(2, MONDAY, epoch=1)
    chain = [entry(1, MONDAY), entry(2, MONDAY + HOUR, epoch=2), entry(3, MONDAY + 2 * HOUR, epoch=2)]
    decided = decide([orphan, *chain], keep(last=1), at=head(3, 2))

    assert decided.orphans == (orphan.name,)
    assert decided.backups == (chain[0].name, chain[1].name)


def test_a_backup_stays_as_long_as_an_orphan_at_its_number_does() -> None:
    """An orphan that cannot be read is not deleted, and must not be left alone."""
    orphan = entry(2, None, epoch=1, packs=frozenset(), intact=False)
    chain = [entry(1, MONDAY), entry(2, MONDAY + HOUR, epoch=2), entry(3, MONDAY + 2 * HOUR, epoch=2)]
    decided = decide([orphan, *chain], keep(last=1), at=head(3, 2))

    assert decided.backups == (chain[0].name,)


def test_what_an_unreadable_manifest_may_name_stays() -> None:
    """Its packs are at most as new as itself."""
    chain = [
        entry(1, MONDAY),
        entry(2, None, packs=frozenset(), intact=False),
        entry(3, MONDAY + HOUR),
        entry(4, MONDAY + DAY),
    ]
    decided = decide(chain, keep(last=1), packs=[pack(1, seq) for seq in range(1, 5)])

    assert decided.backups == (chain[0].name, chain[2].name)
    assert decided.packs == (pack(1, 3),)
    assert decided.kept[chain[1].name] == ("cannot be read",)


def test_what_may_still_be_committed_is_not_touched() -> None:
    """Packs and a manifest of the writer's next number are a backup on its way, whatever the clocks say."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + 9 * DAY)]
    coming = entry(3, MONDAY - 9 * DAY)
    on_the_way = [pack(1, 3), pack(1, 3, 1), pack(2, 3)]
    decided = plan(
        head(2), [*chain, coming], [pack(1, 1), *on_the_way], keep(last=1), verified=None, now=MONDAY + 99 * DAY
    )

    assert (decided.orphans, decided.packs) == ((), (pack(1, 1),))


def test_what_is_of_a_later_epoch_than_heads_is_not_touched() -> None:
    """HEAD was set back by hand, or restored: somebody may know better."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + HOUR), entry(3, MONDAY + DAY)]
    later = entry(1, MONDAY, epoch=2)
    there = [pack(1, 1), pack(1, 2), pack(1, 3), pack(2, 1), pack(2, 1, 1)]
    decided = decide([later, *chain], keep(last=1), packs=there)

    assert (decided.orphans, decided.backups) == ((), (chain[1].name,))
    assert decided.packs == (pack(1, 2),)


def test_packs_that_nobody_names_go_past_the_grace() -> None:
    """Left behind by attempts that failed, and by a writer that lost its epoch."""
    chain = [entry(1, MONDAY, epoch=1), entry(2, MONDAY + HOUR, epoch=3), entry(3, MONDAY + DAY, epoch=3)]
    left = [pack(1, 1, 7), pack(2, 2), pack(1, 3)]
    there = [*(p for one in chain for p in one.packs), *left]

    decided = decide(chain, keep(last=3), at=head(3, 3), packs=there)
    assert decided.packs == (pack(1, 1, 7), pack(2, 2))
    assert decide(chain, keep(last=3, grace=DAY), at=head(3, 3), packs=there).packs == ()


def test_strangers_are_left_alone() -> None:
    """An object below packs/ whose name is none of ours is not ours to delete."""
    chain = [entry(1, MONDAY), entry(2, MONDAY + HOUR)]

    assert decide(chain, keep(last=1), packs=["packs/readme.txt", pack(1, 1)]).packs == (pack(1, 1),)


def test_a_policy_that_keeps_nothing_is_refused() -> None:
    """All zeros is a slip of the hand, not a wish."""
    with pytest.raises(ConfigError, match="no backup but the newest"):
        decide([entry(1, MONDAY)], keep())


@pytest.mark.parametrize("harm", ["broken", "unreadable", "gone"])
def test_nothing_goes_while_the_newest_backup_is_damaged(harm: str) -> None:
    """The older ones may be all there is."""
    newest = {
        "broken": [entry(2, MONDAY + HOUR, intact=False)],
        "unreadable": [entry(2, None, packs=frozenset(), intact=False)],
        "gone": [],
    }[harm]
    with pytest.raises(IntegrityError, match="newest backup"):
        decide([entry(1, MONDAY), *newest], keep(last=1), at=head(2))
