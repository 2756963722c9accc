"""The state of the modelled world: HEAD, the committed backups, each epoch's journal, some instances.

Owns shapes only. There is no clock: a claim is possible at any time, as after the shortest silence, and an
instance that takes no step is a frozen one. A record that was queued may reach the store at any time from then
on, whatever became of its writer, or never; so neither the network nor retries need a state of their own.
Hearing of a success needs none either: what is in the journal stays, so hearing late is looking late.
"""

from typing import NamedTuple

NO_SEAL = -1
NOBODY = -1

Content = tuple[int, ...]
"""What an engine holds: the numbers of the writes in it, in the order of their application."""


class Record(NamedTuple):
    """A write as the journal has it. `after`: for an opaque one the backup that was the newest then, else None."""

    write: int
    after: int | None = None


class Term(NamedTuple):
    """One epoch: what its writer's engine applied, what it queued, what of it is in the store.

    `stored` is a bit mask of positions: nobody but the epoch's writer puts records there. `pruned`: retention
    has taken the records.
    """

    applied: Content = ()
    queued: tuple[Record, ...] = ()
    stored: int = 0
    seal: int = NO_SEAL
    pruned: bool = False


class Place(NamedTuple):
    """A content and where it stands in the journal: before record `position` of `epoch`."""

    epoch: int
    position: int
    content: Content


class Instance(NamedTuple):
    """One process: passive (starts afresh), claimed (seals), writer or follower.

    `at` is what it replays from, for a writer what it opened with, None for one that will place the newest backup.
    `backup` is uploaded and not yet committed.
    """

    mode: str
    epoch: int = 0
    at: Place | None = None
    backup: Place | None = None


class World(NamedTuple):
    """Everything. `backups` are the committed ones, numbered by their place.

    Beside the protocol, for the invariants: what was acknowledged, which epoch opened last and with what.
    """

    epoch: int
    holder: int
    backups: tuple[Place, ...]
    terms: tuple[Term, ...]
    instances: tuple[Instance, ...]
    unheard: frozenset[int] = frozenset()
    acknowledged: frozenset[int] = frozenset()
    opened: int = 0
    opened_with: Content = ()


PASSIVE = Instance("passive")
START = Place(0, 0, ())
