"""The rules that carry the hand-over protocol, each one a switch, and the bounds of a search.

Owns names and defaults only: the defaults are the protocol as built, every other value departs from it.
"""

from dataclasses import dataclass
from typing import Literal

TIMEOUT = 2
"""HANDOVER_TIMEOUT in ticks: one tick is half of it, which is how long a look at HEAD stays fresh.

All constraints are closed (age <= n, age >= n) and all local clocks advance together, so whole ticks, with
any order of steps inside one, reach every ordering that real time can. An instance that takes no step while
ticks pass is a frozen one: freezing needs no action of its own.
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an instance obeys."""

    look_before_engine: bool = True
    """A write goes to the engine only while the look at HEAD is fresh."""
    look_before_answer: bool = True
    """A write is answered only while the look at HEAD is fresh."""
    fresh_ticks: int = 1
    """How long a look stays fresh; below TIMEOUT."""
    fresh_since: Literal["sent", "received"] = "sent"
    """From when a look's age is counted."""
    request_in_look: Literal["adds nothing", "revokes", "is ignored"] = "adds nothing"
    """What a foreign request does to a look: it is no new evidence, ends older evidence too, or nothing."""
    same_term: bool = True
    """A write is answered only in the epoch it entered in."""
    drain: Literal["wait", "refuse late ones", "ignore"] = "wait"
    """What the last commit does about writes in flight."""
    stay_closed: bool = True
    """Once the last commit was sent the gate stays closed until the next claim."""
    claim_what_is_placed: bool = True
    """A claim's HEAD names the manifest that the instance has placed."""
    replace_dirty: bool = True
    """An engine that holds more than its manifest is placed again before a claim."""
    compare_and_swap: bool = True
    """HEAD changes only on the generation that was read."""
    epoch_check: bool = True
    """A commit that fails and finds another epoch ends the writer."""
    keep_request: bool = True
    """A commit keeps the request that stands."""
    reservation: Literal["kept", "ignored", "overwritten", "for ever"] = "kept"
    """A clean HEAD is for the instance that asked, for TIMEOUT: nobody else claims it or asks there."""
    end_what_was_begun: bool = True
    """A hand-over that was begun is ended, also when the one that asked has taken its request back."""
    touch: bool = True
    """A writer busy with its last commit changes HEAD's generation meanwhile."""
    forced_claim: bool = True
    """Silence for TIMEOUT ends a writer's term."""
    forced_claim_needs_request: bool = True
    """Silence proves a dead writer only while a request stands in HEAD."""
    polite: bool = True
    """A request does not replace another one, except that a start replaces a write."""
    own_claim_found: bool = True
    """A claim of one's own that took effect late is recognised whenever HEAD is looked at."""
    own_request_restarts_timer: bool = True
    """The silence of the writer is counted from the newest generation, one's own request included."""
    lost_reply: Literal["look", "assume lost", "assume won"] = "look"
    """What follows a swap without an answer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes."""

    instances: int = 2
    standbys: int = 0
    writes: int = 1
    epochs: int = 2
    lost_replies: int = 0
    crashes: int = 0
    ends: int = 0
    states: int = 2_000_000
