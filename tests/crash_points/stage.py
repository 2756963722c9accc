"""Where a scenario plays: a bucket, disks, machines, and one trap that springs at one operation.

Owns the trap, and what must hold afterwards whatever it did.
"""

import itertools
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import RuntimeFailure, StoreDenied
from runtime.repository.committed import committed
from runtime.repository.head import Head
from tests.crash_points.bucket import WatchedBucket
from tests.crash_points.engine import State
from tests.crash_points.machine import Machine
from tests.crash_points.written import History
from tests.support.model_store import Crash, Fault, FaultKind, no_faults


def denied() -> Exception:
    """Return what a store raises that is asked without the right to."""
    return StoreDenied("The model's 403", hint="Planned by the test")


FAULTS: dict[str, Fault] = {
    "fails before": Fault(FaultKind.FAIL_BEFORE),
    "is denied": Fault(FaultKind.FAIL_BEFORE, error=denied),
    "fails after": Fault(FaultKind.FAIL_AFTER),
    "fails, effect soon": Fault(FaultKind.FAIL_LATE, 0.3),
    "fails, effect late": Fault(FaultKind.FAIL_LATE, 5.0),
    "is retried": Fault(FaultKind.RETRIED),
    "is torn": Fault(FaultKind.TORN),
    "is slow": Fault(FaultKind.DELAY, 3.0),
    "answers late": Fault(FaultKind.DELAY_REPLY, 3.0),
    "crashes before": Fault(FaultKind.CRASH_BEFORE),
    "crashes after": Fault(FaultKind.CRASH_AFTER),
    "crashes, effect soon": Fault(FaultKind.CRASH_LATE, 0.3),
    "crashes, effect late": Fault(FaultKind.CRASH_LATE, 5.0),
}


class Broken(Exception):
    """An invariant does not hold."""


class NotPromised(Exception):
    """What was done ended without saying that it succeeded."""


@dataclass(slots=True)
class Trap:
    """Springs at the operation `at`, counted from when it was armed; `seen` are the operations since then."""

    at: int | None = None
    fault: Fault | None = None
    armed: bool = False
    seen: list[str] = field(default_factory=list)
    sprung: bool = False

    def plan(self, _number: int, verb: str, name: str) -> Fault | None:
        """Answer the store."""
        if not self.armed:
            return None
        self.seen.append(f"{verb} {name}")
        if len(self.seen) - 1 != self.at:
            return None
        self.sprung = True
        return self.fault


class Stage:
    """One run of a scenario. `old` and `new` are what may be restored after it; `done` says that only `new` may.

    `head_restores` is False where HEAD names a backup that a scenario has damaged. `durability` is every machine's;
    with a journal `history` tells what may be restored.
    """

    def __init__(self, folder: Path, trap: Trap) -> None:
        self.bucket = WatchedBucket()
        self.bucket.heads = []
        self.trap = trap
        self.old: State = {}
        self.new: State = {}
        self.done = False
        self.head_restores = True
        self.durability = "snapshot"
        self.history = History()
        self._folder = folder
        self._numbers = itertools.count()

    def machine(self, name: str | None = None, *, trapped: bool = False) -> Machine:
        """Return a process that was not started, on an empty disk."""
        name = name or f"m{next(self._numbers)}"
        storage = self._folder / name / "storage"
        plan = self.trap.plan if trapped else no_faults
        return Machine(self.bucket, name, storage, plan, durability=self.durability, history=self.history)

    def clear(self) -> None:
        """Take the disks away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def check(self) -> None:
        """Let a fresh process start, save and be followed by another, and compare each with what must be there."""
        fresh = self.machine()
        await fresh.boot()
        found = fresh.engine.state()
        if found != self.new and (self.done or found != self.old):
            raise Broken(f"restored: {_difference(found, self.new)} from the new state, done: {self.done}")
        if self.head_restores and found != self.bucket.newest():
            raise Broken(f"restored: {_difference(found, self.bucket.newest())} from what HEAD names")
        name = "afterwards"
        await fresh.create(name)
        await fresh.put(name, "a1", "one")
        expected = fresh.engine.state()
        await fresh.finish()
        again = self.machine()
        await again.boot()
        if again.engine.state() != expected:
            raise Broken(f"after the next backup: {_difference(again.engine.state(), expected)}")
        self.check_history()

    def check_history(self) -> None:
        """Compare the history with the rules, and what the names tell of it with what happened."""
        if wrong := self.bucket.broken_history():
            raise Broken(wrong)
        head = Head.decode(self.bucket.objects["HEAD"].data)
        there = [name for name in self.bucket.objects if name.startswith("manifests/")]
        told = [name for name in committed(there, head) if name in there]
        happened = [name for name in reversed(self.bucket.committed()) if name in there]
        if told != happened:
            raise Broken(f"the names tell {told}, committed were {happened}")
        for name in happened:
            self.bucket.content(name)


def survivable(error: BaseException) -> bool:
    """Whether an error is what the faulty operation may lead to."""
    return isinstance(error, RuntimeFailure | Crash | NotPromised)


def _difference(found: State, expected: State) -> str:
    """Say in short how two states differ."""

    def some(names: Iterable[str]) -> str:
        """Return the first few."""
        return ", ".join(sorted(names)[:4]) or "nothing"

    changed = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    return (
        f"{some(expected.keys() - found.keys())} missing, {some(found.keys() - expected.keys())} extra,"
        f" {some(changed)} different"
    )
