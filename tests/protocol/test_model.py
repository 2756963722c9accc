"""The hand-over protocol, state by state: no loss with its rules, and what is lost without each of them.

`make models` searches further (minutes). `-s` prints how much was searched and each way to a fault.
"""

from dataclasses import dataclass

import pytest

from tests.protocol import model
from tests.protocol.checking import deep, searched, searched_for_progress, told
from tests.protocol.rules import Bounds, Rules

pytestmark = pytest.mark.timeout(600)

SERVING = ("takes a write", "engine applies the write", "acknowledges the write")
ASKING = (
    "starts",
    "looks at HEAD",
    "places the manifest",
    "sends request, which succeeds",
    "hears of its request",
)

NOWHERE = "a write is acknowledged into nowhere"
LEFT_BEHIND = "a graceful hand-over leaves an acknowledged write behind"
HEALTHY_LOSES = "a healthy writer loses acknowledged writes"
NOT_NEWEST = "the claimer does not serve the newest committed state"
TAKEN = "a hand-over is taken from the one that asked"


NEAR = Bounds()


@dataclass(frozen=True, slots=True)
class Broken:
    """A protocol with one rule wrong, how far to look, and what must be found."""

    name: str
    rules: Rules
    fault: str
    bounds: Bounds = NEAR
    opening: tuple[str, ...] = ()


UNSAFE = (
    Broken("answers without a fresh look at HEAD", Rules(look_before_answer=False), NOWHERE),
    Broken("lets a look stay fresh for the whole timeout", Rules(fresh_ticks=2), NOWHERE),
    Broken("counts a look's age from its answer", Rules(fresh_since="received"), NOWHERE),
    Broken("calls a look fresh although it shows a request", Rules(request_in_look="is ignored"), HEALTHY_LOSES),
    Broken(
        "answers a write of an earlier term",
        Rules(same_term=False),
        "a write is acknowledged that its engine no longer holds",
        Bounds(epochs=3),
        (*[f"A {what}" for what in SERVING[:2]], *[f"B {what}" for what in ASKING]),
    ),
    Broken("commits for the last time before writes in flight are done", Rules(drain="ignore"), NOWHERE),
    Broken(
        "opens its gate again after an unanswered last commit",
        Rules(stay_closed=False),
        LEFT_BEHIND,
        Bounds(lost_replies=1),
    ),
    Broken("claims a manifest that it has not placed", Rules(claim_what_is_placed=False), NOT_NEWEST),
    Broken("claims with an engine that holds more", Rules(replace_dirty=False), NOT_NEWEST, Bounds(epochs=3)),
    Broken("overwrites HEAD blindly", Rules(compare_and_swap=False), "the history goes back"),
    Broken(
        "commits again without a look at the epoch",
        Rules(epoch_check=False),
        "one that is not the writer commits",
    ),
    Broken("claims what is reserved for another", Rules(reservation="ignored"), TAKEN, Bounds(epochs=3)),
    Broken("asks where another has a reservation", Rules(reservation="overwritten"), TAKEN, Bounds(instances=3)),
    Broken("does not touch HEAD during a long last commit", Rules(touch=False), HEALTHY_LOSES),
    Broken(
        "does not count silence anew from its own request",
        Rules(own_request_restarts_timer=False),
        HEALTHY_LOSES,
    ),
    Broken(
        "claims by force after its request was replaced and declined",
        Rules(polite=False, forced_claim_needs_request=False),
        HEALTHY_LOSES,
        Bounds(instances=3, standbys=1),
        (*[f"A {what}" for what in SERVING], *[f"C {what}" for what in ASKING]),
    ),
    Broken(
        "takes an unanswered swap for failed",
        Rules(lost_reply="assume lost"),
        NOWHERE,
        Bounds(lost_replies=1),
    ),
    Broken("takes an unanswered swap for done", Rules(lost_reply="assume won"), NOWHERE, Bounds(lost_replies=1)),
)

STUCK = (
    Broken("never claims by force", Rules(forced_claim=False), "B alone never becomes the writer"),
    Broken(
        "keeps a reservation for one that died",
        Rules(reservation="for ever"),
        "A alone never becomes the writer",
    ),
    Broken(
        "stays closed when the one that asked has gone",
        Rules(end_what_was_begun=False),
        "A alone never becomes the writer",
        Bounds(ends=1),
    ),
    Broken(
        "does not recognise its own claim later",
        Rules(own_claim_found=False),
        "A alone never becomes the writer",
        Bounds(lost_replies=1),
    ),
)

SAFE_WITHOUT = (
    Broken("lets a write go to the engine without a fresh look", Rules(look_before_engine=False), ""),
    Broken("ends older evidence when a look shows a request", Rules(request_in_look="revokes"), ""),
    Broken("refuses writes that are late for the last commit", Rules(drain="refuse late ones"), ""),
    Broken("drops the standing request with a commit", Rules(keep_request=False), ""),
    Broken(
        "replaces the requests of others",
        Rules(polite=False),
        "",
        Bounds(instances=3, standbys=1, states=300_000),
    ),
    Broken("claims by force without a standing request", Rules(forced_claim_needs_request=False), ""),
)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(), id="two instances, all of it"),
        pytest.param(Bounds(lost_replies=1, crashes=1, ends=1, states=60_000), id="lost replies, crash, end"),
        pytest.param(Bounds(instances=3, standbys=1, epochs=3, states=40_000), id="three instances"),
        pytest.param(Bounds(lost_replies=1, crashes=1, ends=1), id="all faults, all of it", marks=deep),
        pytest.param(Bounds(writes=2), id="two writes, all of it", marks=deep),
        pytest.param(Bounds(epochs=3), id="three epochs, all of it", marks=deep),
        pytest.param(Bounds(instances=3, standbys=1, states=10**6), id="a million of three instances", marks=deep),
    ],
)
def test_no_order_of_steps_breaks_the_protocol(bounds: Bounds) -> None:
    """With every rule kept, no interleaving within the bounds breaks an invariant."""
    result = told(f"the protocol, {bounds}", searched(model, Rules(), bounds))

    assert result.fault is None
    assert result.complete or result.states > bounds.states


@pytest.mark.parametrize("broken", UNSAFE, ids=lambda broken: broken.name)
def test_each_rule_carries_its_part_of_the_promise(broken: Broken) -> None:
    """With one rule dropped the search finds the loss, and prints the shortest way to it."""
    result = told(broken.name, searched(model, broken.rules, broken.bounds, broken.opening))

    assert broken.fault == result.fault


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(writes=0, crashes=1, lost_replies=1), id="crash, lost reply"),
        pytest.param(Bounds(writes=0, crashes=1, lost_replies=1, ends=1, epochs=3), id="all faults", marks=deep),
    ],
)
def test_any_live_instance_can_become_the_writer_alone(bounds: Bounds) -> None:
    """From every reachable world one instance with traffic gets there, whoever else froze or died."""
    assert told("progress", searched_for_progress(model, Rules(), bounds)).fault is None


@pytest.mark.parametrize("broken", STUCK, ids=lambda broken: broken.name)
def test_each_rule_of_progress_is_needed(broken: Broken) -> None:
    """With one rule of progress dropped the search finds the world from which no writer comes."""
    bounds = Bounds(writes=0, lost_replies=broken.bounds.lost_replies, ends=broken.bounds.ends)
    result = told(broken.name, searched_for_progress(model, broken.rules, bounds))

    assert broken.fault == result.fault


@pytest.mark.deep
@pytest.mark.parametrize("variant", SAFE_WITHOUT, ids=lambda variant: variant.name)
def test_other_rules_are_for_comfort(variant: Broken) -> None:
    """These rules spare refusals and retries or are a second line: alone, none of them prevents a loss."""
    assert told(variant.name, searched(model, variant.rules, variant.bounds)).fault is None
