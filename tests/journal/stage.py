"""A journal on the model store, its requests let through one by one."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from runtime.journal.writer import Journal
from runtime.repository import names
from runtime.repository.journal_object import JournalObject, JournalPosition, Record
from runtime.repository.repository import Repository
from tests.support.model_store import Fault, FaultKind, ModelBucket, ModelStore
from tests.support.virtual_time import VirtualLoop

LINEAGE = "lineage"


def in_virtual_time(story: Coroutine[Any, Any, None]) -> None:
    """Run a story; waiting costs nothing."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(story)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def record(number: int, body: bytes = b"{}") -> Record:
    """Return a write."""
    return Record("c", "points", "shared", "rest", "PUT", "/collections/c/points", (number,), True, number, body)


class Stage:
    """A bucket, a journal on it, and what happens to the creation of object n: a plan by number."""

    def __init__(self) -> None:
        self.bucket = ModelBucket()
        self.plans: dict[int, list[Fault]] = {}
        self.store = ModelStore(self.bucket, "writer", plan=self._plan)
        self.repository = Repository(self.store)
        self.journal = Journal(self.repository, linger_seconds=0.002, patience_seconds=10)
        self.sealed = asyncio.Event()
        self.journal.on_sealed = self.sealed.set

    def _plan(self, _number: int, verb: str, name: str) -> Fault | None:
        """Answer the store."""
        position = names.journal_position(name)
        waiting = self.plans.get(position[1]) if position and verb == "write_new" else None
        return waiting.pop(0) if waiting else None

    def slow(self, number: int, seconds: float) -> None:
        """Let the creation of an object take so long."""
        self.plans.setdefault(number, []).append(Fault(FaultKind.DELAY, seconds))

    def fail(self, number: int, kind: FaultKind, seconds: float = 0) -> None:
        """Let the creation of an object fail."""
        self.plans.setdefault(number, []).append(Fault(kind, seconds))

    async def write(self, number: int, body: bytes = b"{}") -> int:
        """Record a write in an object of its own; return its number when it is durable. Raises Refused."""
        stored = self.journal.append(record(number, body))
        self.journal.position()
        await self.journal.durable(stored)
        return number

    def there(self, epoch: int = 1) -> dict[int, JournalObject]:
        """Return an epoch's objects by number."""
        found = {}
        for name in self.bucket.objects:
            position = names.journal_position(name)
            if position and position[0] == epoch:
                found[position[1]] = JournalObject.decode(
                    self.bucket.get(name).data, lineage=LINEAGE, position=JournalPosition(*position)
                )
        return found

    def put(self, entry: JournalObject) -> None:
        """Put an object there, whoever did it."""
        name = names.journal(entry.position.epoch, entry.position.n)
        self.bucket.put("another", "write_new", name, entry.encode(), 0)

    def remove(self, epoch: int, number: int) -> None:
        """Lose an object."""
        del self.bucket.objects[names.journal(epoch, number)]


def written(epoch: int, number: int, *bodies: bytes) -> JournalObject:
    """Return an object of records."""
    return JournalObject(
        JournalPosition(epoch, number), LINEAGE, "records", "writer", tuple(record(number, body) for body in bodies)
    )


def seal(epoch: int, number: int) -> JournalObject:
    """Return a seal."""
    return JournalObject(JournalPosition(epoch, number), LINEAGE, "seal", "reader")
