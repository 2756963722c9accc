"""The state of the modelled world: one HEAD, some instances, what the network still carries.

Owns shapes only. Sets of writes are bit masks. A generation is not a number here but a flag beside each copy
of HEAD, "still the current one", which is all a compare-and-swap can tell.
"""

from typing import NamedTuple

NOBODY = -1


class Head(NamedTuple):
    """HEAD as stored; `saved` stands for the manifest's content."""

    epoch: int
    holder: int
    seq: int
    saved: int
    clean: bool
    asker: int
    start: bool


class Call(NamedTuple):
    """An operation that reached the store and whose answer is on its way; an instance has at most one.

    `current` until HEAD changes again. A swap that finds another generation is not modelled: the instance
    would look next, which it may do anyway.
    """

    kind: str
    head: Head
    current: bool
    age: int


class Move(NamedTuple):
    """Something an instance may do now: what it is then, and the swap of HEAD that it sends, if any."""

    what: str
    then: "Instance"
    kind: str = ""
    new: Head | None = None


class Write(NamedTuple):
    """A client's write inside an instance; `applied` when the engine has answered."""

    number: int
    applied: bool
    epoch: int


class Instance(NamedTuple):
    """One process: unborn, passive (newcomer, standby, fenced), writer, closing (last commit) or gone."""

    mode: str
    epoch: int
    view: Head | None
    current: bool
    seen: int  # ticks since the view's generation was received first, at most TIMEOUT
    fresh: int  # age of the evidence that nobody can have claimed, at most fresh_ticks + 1
    call: Call | None
    unsure: bool  # a swap's answer was lost: look before anything else
    engine: int
    placed: int  # seq of the manifest placed or committed last
    placed_saved: int
    write: Write | None
    capture: tuple[int, int] | None  # manifest uploaded, not yet committed: seq, content
    wants: str  # "", "start", "write"
    asked: bool
    ill: bool  # in this epoch, let a tick pass without any new evidence: frozen, or cut off
    leaving: bool


class World(NamedTuple):
    """Everything; `strays` are swaps whose sender no longer waits and that may still take effect."""

    head: Head
    instances: tuple[Instance, ...]
    strays: tuple[tuple[int, str, Head], ...]
    answered: int
    begun: int
    losses: int
    crashes: int
    ends: int


FIRST_HEAD = Head(1, 0, 0, 0, clean=False, asker=NOBODY, start=False)
UNBORN = Instance(
    mode="unborn",
    epoch=0,
    view=None,
    current=False,
    seen=0,
    fresh=9,
    call=None,
    unsure=False,
    engine=0,
    placed=-1,
    placed_saved=0,
    write=None,
    capture=None,
    wants="",
    asked=False,
    ill=False,
    leaving=False,
)
GONE = UNBORN._replace(mode="gone")
FIRST_WRITER = UNBORN._replace(mode="writer", epoch=1, view=FIRST_HEAD, current=True, fresh=0, placed=0)
STANDBY = UNBORN._replace(mode="passive", placed=0)
