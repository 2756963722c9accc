"""What a sync decides: every state of both sides, and what must never happen in any of them."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError, RuntimeFailure
from runtime.repository.manifest import CollectionEntry, Manifest
from runtime.sync import plan
from runtime.sync.meetings import Meeting, Same
from runtime.sync.plan import Action, Held
from runtime.sync.survey import Survey
from tests.support import manifests

OLD, NEW = "00000001-0000000001", "00000002-0000000002"
NAMES = st.sampled_from(["a", "b", "c"])
PRINTS = st.sampled_from(["x", "y", None])


def backup(*collections: str, aliases: Mapping[str, str] | None = None) -> Manifest:
    """Return a manifest that holds these collections, without anything in them."""
    entries = {name: CollectionEntry(1, {"config.json": "{}"}, {}) for name in collections}
    return replace(manifests.manifest(2, 2), collections=entries, aliases=dict(aliases or {}), packs={})


def met(backup_id: str, prints: Mapping[str, str | None], aliases: Mapping[str, str] | None = None) -> Meeting:
    """Return that both sides were the same."""
    same = {name: Same(1, known, None, "", "copy") for name, known in prints.items()}
    return Meeting("http://there", backup_id, "pull", same, dict(aliases or {}))


def there(prints: Mapping[str, str | None], aliases: Mapping[str, str] | None = None) -> Survey:
    """Return an engine's state."""
    return Survey("1.19.0", is_whole=True, collections=dict(prints), aliases=dict(aliases or {}))


def held(manifest: Manifest | None, meeting: Meeting | None) -> Held:
    """Return the repository's side, its newest backup NEW if there is one."""
    return Held(NEW, f"manifests/{NEW}.json", manifest, meeting) if manifest else Held()


def actions(decided: plan.Plan) -> dict[str, str]:
    """Return what happens to each collection."""
    return {step.collection: step.action.value for step in decided.steps}


def test_a_pull_brings_what_changed_and_drops_what_is_gone() -> None:
    """By fingerprint; what has none is brought; what the source lost goes."""
    before = held(backup("a", "b", "c", "d"), met(NEW, {"a": "x", "b": "x", "c": None, "d": "x"}))
    decided = plan.pull(there({"a": "x", "b": "y", "c": None, "e": "z"}), before, overwrite=False)

    assert decided.refusal is None
    assert actions(decided) == {"a": "keep", "b": "copy", "c": "copy", "d": "drop", "e": "copy"}


@pytest.mark.parametrize("meeting", [None, met(OLD, {"a": "x"})], ids=["never met", "met before"])
def test_both_sides_changed_is_a_conflict_unless_told(meeting: Meeting | None) -> None:
    """Nothing is brought, both ways; --overwrite decides."""
    state = held(backup("a"), meeting)
    found = there({"a": "y"})
    for decided in (
        plan.pull(found, state, overwrite=False),
        plan.push(found, state, frozenset(), overwrite=False),
    ):
        assert isinstance(decided.refusal, RuntimeFailure)
        assert actions(decided) == {"a": "refuse"}
    assert actions(plan.pull(found, state, overwrite=True)) == {"a": "copy"}
    assert actions(plan.push(found, state, frozenset(), overwrite=True)) == {"a": "copy"}


def test_what_only_the_repository_changed_is_no_work_for_a_pull() -> None:
    """The source is as it was: older than what is here, so nothing is brought."""
    decided = plan.pull(there({"a": "x"}), held(backup("a"), met(OLD, {"a": "x"})), overwrite=False)
    assert (decided.is_idle, decided.refusal) == (True, None)


def test_an_older_backup_is_not_pushed_over_a_newer_target() -> None:
    """The target changed since, the repository did not: told so, and to pull."""
    decided = plan.push(there({"a": "y"}), held(backup("a"), met(NEW, {"a": "x"})), frozenset(), overwrite=False)
    assert decided.refusal is not None
    assert "newer" in decided.refusal.message
    assert "sync pull" in decided.refusal.hint


def test_what_an_earlier_push_left_half_done_is_its_own() -> None:
    """It changed the target itself: no conflict, and no refusal because something is there."""
    state = held(backup("a", "b"), met(OLD, {"a": "x"}))
    decided = plan.push(there({"a": "half"}), state, frozenset({"a"}), overwrite=False)
    assert (decided.refusal, actions(decided)) == (None, {"a": "copy", "b": "copy"})


def test_an_alias_is_not_turned_away_from_what_it_means_there() -> None:
    """Unless told."""
    state = held(backup("a", aliases={"now": "a"}), None)
    decided = plan.push(there({"z": "x"}, {"now": "z"}), state, frozenset(), overwrite=False)
    assert isinstance(decided.refusal, ConfigError)
    assert plan.push(there({"z": "x"}, {"now": "z"}), state, frozenset(), overwrite=True).refusal is None


@given(
    found=st.dictionaries(NAMES, PRINTS),
    known=st.dictionaries(NAMES, PRINTS),
    backed=st.sets(NAMES),
    at=st.sampled_from([OLD, NEW, None]),
    exists=st.booleans(),
)
def test_no_state_of_both_sides_loses_anything_untold(
    *, found: dict[str, str | None], known: dict[str, str | None], backed: set[str], at: str | None, exists: bool
) -> None:
    """Without --overwrite: nothing is pulled over somebody's own backup, and nothing is pushed over what is there."""
    state = held(backup(*backed) if exists else None, met(at, known) if at and exists else None)
    pulled = plan.pull(there(found), state, overwrite=False)
    if exists and at != NEW and not pulled.is_idle:
        assert pulled.refusal is not None
    if pulled.refusal is None:
        for step in pulled.steps:
            if step.action is Action.KEEP:
                assert found[step.collection] == known[step.collection] is not None
    else:
        assert {step.action for step in pulled.steps} <= {Action.KEEP, Action.REFUSE}
    pushed = plan.push(there(found), state, frozenset(), overwrite=False)
    if pushed.refusal is None:
        assert all(step.action is Action.KEEP for step in pushed.steps if step.collection in found)
    else:
        assert {step.action for step in pushed.steps} <= {Action.KEEP, Action.REFUSE}
