"""Whatever is pruned, what remains leads to the same state, or is refused: never to less."""

import asyncio
import datetime as dt
from collections.abc import Callable
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.moment import Moment
from runtime.prune import prune
from runtime.repository import names
from runtime.repository.repository import Repository
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.support.model_store import Crash, Fault, FaultKind, ModelStore
from tests.support.past import START, Past

HOUR = dt.timedelta(hours=1)
CALM = ("write", "write", "write", "many", "save", "save", "claim", "pause")
STEPS = (*CALM, "opaque", "lost opaque")


@st.composite
def pasts(draw: st.DrawFn, steps: tuple[str, ...] = STEPS) -> Past:
    """Make a past of a few epochs, with backups, claims and orphans; with opaque changes unless it is calm."""
    past = Past()

    def lose_an_opaque_change() -> None:
        past.change(saved=False)
        past.take_over()

    def write_many() -> None:
        for _ in range(8):
            past.write()

    doing: dict[str, Callable[[], object]] = {
        "write": lambda: past.write(draw(st.integers(1, 2))),
        "many": write_many,
        "save": past.save,
        "claim": lambda: past.take_over(behind=draw(st.integers(0, 3))),
        "opaque": lambda: past.change(saved=True),
        "lost opaque": lose_an_opaque_change,
        "pause": lambda: setattr(past, "minute", past.minute + 60),
    }
    for step in draw(st.lists(st.sampled_from(steps), min_size=5, max_size=40)):
        past.minute += 1
        doing[step]()
    past.minute += 1
    past.save()
    for _ in range(draw(st.integers(0, 9))):
        past.write()
    past.finish()
    return past


policies = st.builds(
    Policy, st.integers(1, 3), st.integers(0, 3), st.just(0), st.just(0),
    st.integers(0, 120).map(lambda minutes: dt.timedelta(minutes=minutes)),
    st.integers(0, 240).map(lambda minutes: dt.timedelta(minutes=minutes)),
)  # fmt: skip


def pruned(past: Past, policy: Policy, *, deletions: int | None = None) -> Past:
    """Return the past after a prune, one that died after so many deletions if that is said."""
    after = deepcopy(past)
    left = [deletions]

    def plan(_number: int, verb: str, _name: str) -> Fault | None:
        if verb != "delete" or left[0] is None:
            return None
        left[0] -= 1
        return Fault(FaultKind.CRASH_BEFORE) if left[0] < 0 else None

    async def run() -> None:
        """Prune."""
        repository = Repository(ModelStore(after.bucket, "prune", plan=plan))
        await prune(repository, policy, Progress(), now=START + 10_000 * HOUR, dry_run=False)

    try:
        asyncio.run(run())
    except (Crash, BaseExceptionGroup):
        assert deletions is not None
    return after


def first_moment(past: Past, policy: Policy) -> dt.datetime:
    """Return when the recovery window begins."""
    return dt.datetime.fromisoformat(past.manifests[-1].created_at) - policy.window


@settings(max_examples=60, deadline=None)
@given(pasts(), policies, st.data())
def test_no_backup_leads_to_less_than_before(past: Past, policy: Policy, data: st.DataObject) -> None:
    """From every backup, pruned ones that somebody brings back included, and after a prune that died anywhere."""
    deletions = data.draw(st.none() | st.integers(0, 30))
    after = pruned(past, policy, deletions=deletions)
    for backup in past.manifests:
        assert after.from_backup(backup) in (past.from_backup(backup), "IntegrityError"), backup.seq


@settings(max_examples=60, deadline=None)
@given(pasts(CALM), policies)
def test_backups_that_matter_lead_to_now(past: Past, policy: Policy) -> None:
    """The newest, and every one that stayed and is younger than the window, come to the newest state."""
    after = pruned(past, policy)
    for backup in past.manifests:
        young = dt.datetime.fromisoformat(backup.created_at) >= first_moment(past, policy)
        stayed = names.manifest(names.backup_id(backup.epoch, backup.seq)) in after.bucket.objects
        if stayed and (young or backup is past.manifests[-1]):
            assert after.from_backup(backup) == past.held


@settings(max_examples=60, deadline=None)
@given(pasts(), policies)
def test_the_newest_backup_leads_to_now(past: Past, policy: Policy) -> None:
    """Whatever was changed before it."""
    assert pruned(past, policy).from_backup(past.manifests[-1]) == past.held


def some_moment(past: Past, policy: Policy, data: st.DataObject) -> Moment:
    """Draw a moment of the window, or of the lineage's whole life where that is shorter."""
    end = START + dt.timedelta(minutes=past.minute + 1)
    start = min(max(first_moment(past, policy), START), end)
    at = start + data.draw(st.integers(0, 60)) * (end - start) / 60
    return Moment(at=round(at.timestamp() * 1000))


@settings(max_examples=60, deadline=None)
@given(pasts(CALM), policies, st.data())
def test_every_moment_of_the_window_can_be_reached(past: Past, policy: Policy, data: st.DataObject) -> None:
    """The state of then: what had been written by that minute."""
    moment = some_moment(past, policy, data)
    before = past.at(moment)

    assert isinstance(before, list)
    assert before == past.held[: len(before)]
    assert pruned(past, policy).at(moment) == before


@settings(max_examples=60, deadline=None)
@given(pasts(), policies, st.data())
def test_no_moment_is_less_than_it_was(past: Past, policy: Policy, data: st.DataObject) -> None:
    """The same, or a refusal: a change that only a backup held may be gone with it."""
    moment = some_moment(past, policy, data)

    assert pruned(past, policy).at(moment) in (past.at(moment), "IntegrityError")


@settings(max_examples=60, deadline=None)
@given(pasts(), policies)
def test_a_second_time_nothing_goes(past: Past, policy: Policy) -> None:
    """What stays once, stays until there is a newer backup; every seal stays for as long as the lineage lives."""
    after = pruned(past, policy)
    assert pruned(after, policy).bucket.objects == after.bucket.objects
    assert set(past.seals) <= after.bucket.objects.keys()
