"""What a write can change, so that the next backup knows what it must look at.

Owns the vocabulary between the route table, the gate and the backup; decides nothing about transport.
"""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """How far a write reaches."""

    POINTS = "points"  # points, vectors or payload of one collection: Qdrant numbers it
    BATCH = "batch"  # several operations on points of one collection in one request, each with a number of its own
    SCHEMA = "schema"  # payload indexes or settings of one collection
    REPLACE = "replace"  # a collection made or deleted: its next backup starts full
    RECOVER = "recover"  # a collection's files replaced from a snapshot: its next backup starts full
    CATALOG = "catalog"  # aliases: no collection's files
    NOTHING = "nothing"  # goes through the gate, changes nothing a backup keeps (stock snapshots)
    UNKNOWN = "unknown"  # not in the table: may have changed anything


class Outcome(StrEnum):
    """What the engine's answer says about a write."""

    APPLIED = "applied"
    REFUSED = "refused"  # the engine says no, yet part of a batch may have been applied
    DENIED = "denied"  # not to whom asked: nothing of it was applied
    LIMITED = "limited"  # not so often: of a batch a part may have been applied
    UNTOUCHED = "untouched"  # it never got as far as the data: no such thing, no such right, no such route
    UNANSWERED = "unanswered"  # cut, timed out or failed inside: may have been applied


@dataclass(frozen=True, slots=True)
class Write:
    """One mutating request: its effect and the collection it names (None: none, or not known)."""

    effect: Effect
    collection: str | None = None
