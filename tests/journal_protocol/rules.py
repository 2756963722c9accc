"""The rules that carry the journal, each one a switch, and the bounds of a search.

Owns names and defaults only: the defaults are the protocol as proven, every other value departs from it.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rules:
    """What writers, claimers and followers obey."""

    queue: Literal["operation order", "answer order"] = "operation order"
    """In which order a collection's writes get their place in the journal: as applied, or as answered."""
    replay: Literal["as written", "operation order"] = "as written"
    """In which order an epoch's records are applied again."""
    acknowledge: Literal["durable prefix", "own record", "at once", "any exists"] = "durable prefix"
    """What must be in the store: objects 0…n, object n only, nothing, or 0…n whatever they hold."""
    seal: Literal["first absent", "after the highest", "never"] = "first absent"
    """Where a claimer ends an older epoch."""
    seals: Literal["every older epoch", "the one before"] = "every older epoch"
    """Which epochs a claimer ends."""
    opens: Literal["after the seals", "before the seals"] = "after the seals"
    """When a claimer replays and opens its gate."""
    position: Literal["at the barrier", "without a barrier", "at the commit"] = "at the barrier"
    """When a backup's position in the journal is taken."""
    commit: Literal["when durable", "any time"] = "when durable"
    """A backup is committed when every object up to its position is in the store."""
    placing: Literal["afresh", "unless durable", "never"] = "afresh"
    """Whether one that was the writer places itself afresh before it claims."""
    opaque_record: Literal["before the backup", "after the backup"] = "before the backup"
    """When a write that cannot be replayed is recorded, against the commit of the backup that holds it."""
    opaque_alone: bool = True
    """An opaque record is made only while no backup is under way."""
    opaque_spreads: bool = True
    """What is applied between an opaque write and the commit of its backup is recorded as opaque, too."""
    opaque_answer: Literal["after the backup", "as others"] = "after the backup"
    """When an opaque write is acknowledged."""
    unheard: Literal["opaque", "forgotten"] = "opaque"
    """What becomes of a write that the engine may have applied and has not answered."""
    follow: Literal["without holes", "over holes"] = "without holes"
    """Which records a follower applies."""
    opaque_followed: Literal["when decided", "passed over"] = "when decided"
    """What a follower does where it meets an opaque record."""
    caught_up: Literal["or placed", "as far as it goes"] = "or placed"
    """What a follower that claims does where it meets a write that only a backup holds."""
    leaves: bool = True
    """A writer that meets a seal, or another in HEAD, is none any more."""
    prune: Literal["keeps seals", "whole epochs"] = "keeps seals"
    """What retention leaves of an epoch that no kept backup needs."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes. `opaque` names writes that cannot be replayed; `dependent`: see `faults`."""

    instances: int = 2
    followers: int = 0
    writes: int = 3
    epochs: int = 3
    backups: int = 1
    opaque: frozenset[int] = frozenset()
    unheard: int = 0
    prunes: int = 0
    dependent: bool = True
    fewer_orders: bool = False
    """Leave out orders of steps that lead to no other faults: see `reduction`."""
    states: int = 10**7
