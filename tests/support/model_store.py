"""The store as a strict model in memory, with a fault at any operation.

Stricter than any real one is lax: preconditions on every verb, unfinished uploads invisible, listings
consistent. Deterministic: no thread, no clock, no randomness; every operation passes `schedule` before it
starts and before its reply arrives, so that a simulation decides who goes next.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    ObjectMissing,
    PreconditionFailed,
    RuntimeFailure,
    StoreUnreachable,
)
from runtime.repository.checksums import crc32c_of
from runtime.repository.object_name import checked_name
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo

T = TypeVar("T")

READ_BYTES = 1 << 20


class Crash(BaseException):
    """The process died here. Not an Exception, so that nothing on the way can survive it."""


class FaultKind(Enum):
    """What happens to one operation."""

    FAIL_BEFORE = "fails, without effect"
    FAIL_AFTER = "takes effect, the reply is lost"
    FAIL_LATE = "fails, and takes effect `seconds` later, if its precondition still holds then"
    RETRIED = "takes effect, the reply is lost, and the client's own retry meets its own work"
    TORN = "fails half way through the bytes; nothing becomes visible"
    CRASH_BEFORE = "the process dies before"
    CRASH_AFTER = "the process dies after the effect"
    CRASH_LATE = "the process dies, and the effect comes `seconds` later"
    DELAY = "waits `seconds`, then happens"
    DELAY_REPLY = "happens, and the answer takes `seconds`"


def unreachable() -> Exception:
    """Return what a store raises when it gave up on the network."""
    return StoreUnreachable("The model's fault", hint="Planned by the test")


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault: what a call that fails raises, and how long one that waits does."""

    kind: FaultKind
    seconds: float = 0.0
    error: Callable[[], Exception] = unreachable


Plan = Callable[[int, str, str], Fault | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the bucket's history: `number` counts the client's operations from 0."""

    client: str
    number: int
    verb: str
    name: str
    fault: FaultKind | None


@dataclass(slots=True)
class StoredObject:
    """An object's bytes with what the store says of them; a test that breaks bytes leaves the checksum."""

    data: bytes
    generation: int
    crc32c: str


@dataclass(slots=True)
class ModelBucket:
    """What clients share: the objects, and what was done to them in order."""

    url: str = "model://bucket"
    objects: dict[str, StoredObject] = field(default_factory=dict)
    history: list[Operation] = field(default_factory=list)
    # Changes that took effect, as (client, verb, name, generation): the linear order that counts.
    effects: list[tuple[str, str, str, int]] = field(default_factory=list)
    last_generation: int = 0

    def put(self, client: str, verb: str, name: str, data: bytes, expected: int) -> ObjectInfo:
        """Store the bytes if the generation there is `expected` (0: none)."""
        there = self.objects.get(name)
        current = there.generation if there else 0
        if current != expected:
            raise PreconditionFailed(f"{name!r} has generation {current}, not {expected}")
        self.last_generation += 1
        self.objects[name] = StoredObject(data, self.last_generation, crc32c_of(data))
        self.effects.append((client, verb, name, self.last_generation))
        return self.info(name)

    def get(self, name: str) -> StoredObject:
        """Return the object. Raises ObjectMissing."""
        there = self.objects.get(checked_name(name))
        if there is None:
            raise ObjectMissing(f"No object {name!r} in {self.url}")
        return there

    def info(self, name: str) -> ObjectInfo:
        """Return what the store says of the object. Raises ObjectMissing."""
        return self.listed(name, self.get(name))

    @staticmethod
    def listed(name: str, there: StoredObject) -> ObjectInfo:
        """Return what a listing says of an object, whatever it is called: others may have put it there."""
        return ObjectInfo(name, len(there.data), there.generation, there.crc32c)

    def remove(self, client: str, name: str, generation: int) -> None:
        """Delete that generation; none there is no error."""
        there = self.objects.get(checked_name(name))
        if there is None:
            return
        if there.generation != generation:
            raise PreconditionFailed(f"{name!r} has generation {there.generation}, not {generation}")
        del self.objects[name]
        self.effects.append((client, "delete", name, generation))


async def give_way() -> None:
    """Let every other task that is ready go first."""
    await asyncio.sleep(0)


def no_faults(_number: int, _verb: str, _name: str) -> Fault | None:
    """Return the plan in which all goes well."""
    return None


class ModelStore:
    """One client's view of a bucket. Its operations are numbered from 0 in the order in which they start."""

    def __init__(
        self,
        bucket: ModelBucket,
        client_id: str = "client",
        *,
        plan: Plan = no_faults,
        schedule: Callable[[], Awaitable[None]] = give_way,
        list_page: int = 100,
    ) -> None:
        self.bucket = bucket
        self.client_id = client_id
        self.plan = plan
        self.schedule = schedule
        self.operations = 0
        self.dead = False
        self._list_page = list_page

    def __str__(self) -> str:
        return self.bucket.url

    async def read(self, name: str) -> tuple[bytes, int]:
        """Return content and generation, the content compared with its checksum."""

        def answer() -> tuple[bytes, int]:
            """Return what is there then."""
            there = self.bucket.get(name)
            if crc32c_of(there.data) != there.crc32c:
                raise IntegrityError(f"{name!r} in {self}: its CRC32C differs")
            return there.data, there.generation

        return await self._operation("read", name, answer)

    async def stat(self, name: str) -> ObjectInfo:
        """Return what the store knows."""
        return await self._operation("stat", name, lambda: self.bucket.info(name))

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Create, looking into a refusal."""
        checked_name(name)
        return await self._operation("write_new", name, lambda: self._create("write_new", name, data))

    async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Replace that generation."""
        checked_name(name)

        def effect() -> ObjectInfo:
            """Change it if nothing came between."""
            return self.bucket.put(self.client_id, "swap", name, data, generation)

        return await self._operation("swap", name, effect)

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Create from a stream; what the source raises passes, and nothing becomes visible."""
        checked_name(name)
        number, fault = await self._begin("upload", name)
        chunks = []
        while chunk := source.read(READ_BYTES):
            chunks.append(chunk)
            if fault and fault.kind is FaultKind.TORN:
                break
            await self.schedule()
        data = b"".join(chunks)
        return await self._finish(number, fault, lambda: self._create("upload", name, data))

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver exactly the range."""

        def answer() -> bytes:
            """Return what is there then."""
            data = self.bucket.get(name).data[offset : offset + length]
            if len(data) < length:
                raise IntegrityError(f"{name!r} in {self} is too short")
            return data

        number, fault = await self._begin("download", name)
        if fault and fault.kind is FaultKind.TORN:
            sink.write(answer()[: length // 2])
        sink.write(await self._finish(number, fault, answer))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield in name order; each page is an operation and sees the bucket as it is then."""
        while True:

            def page(after: str = after) -> list[ObjectInfo]:
                """Return one page."""
                names = sorted(n for n in self.bucket.objects if n.startswith(prefix) and n > after)
                return [self.bucket.listed(n, self.bucket.objects[n]) for n in names[: self._list_page]]

            found = await self._operation("list", prefix, page)
            for info in found:
                yield info
            if len(found) < self._list_page:
                return
            after = found[-1].name

    async def delete(self, name: str, generation: int) -> None:
        """Delete that generation."""
        await self._operation("delete", name, lambda: self.bucket.remove(self.client_id, name, generation))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _create(self, verb: str, name: str, data: bytes) -> ObjectInfo:
        """Put, looking into a refusal."""
        try:
            return self.bucket.put(self.client_id, verb, name, data, 0)
        except PreconditionFailed:
            there = self.bucket.info(name)
            if (there.size, there.crc32c) == (len(data), crc32c_of(data)):
                return there
            raise AlreadyExists(f"{name!r} is in {self} already, with other content") from None

    async def _operation(self, verb: str, name: str, effect: Callable[[], T]) -> T:
        """Run one operation that has no stream."""
        number, fault = await self._begin(verb, name)
        return await self._finish(number, fault, effect)

    async def _begin(self, verb: str, name: str) -> tuple[int, Fault | None]:
        """Give an operation its number and its fault, and let those before the effect happen."""
        number = self.operations
        self.operations += 1
        await self.schedule()
        # A dead process does nothing more, whatever its `finally` blocks would like to.
        if self.dead:
            raise Crash(number)
        fault = self.plan(number, verb, name)
        self.bucket.history.append(Operation(self.client_id, number, verb, name, fault.kind if fault else None))
        if fault and fault.kind is FaultKind.CRASH_BEFORE:
            raise self._died(number)
        if fault and fault.kind is FaultKind.FAIL_BEFORE:
            raise fault.error()
        if fault and fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        return number, fault

    async def _finish(self, number: int, fault: Fault | None, effect: Callable[[], T]) -> T:
        """Let the effect and the reply happen as planned."""
        if fault is None or fault.kind is FaultKind.DELAY:
            answer = effect()
        elif fault.kind is FaultKind.RETRIED:
            _quietly(effect)
            answer = effect()
        elif fault.kind is FaultKind.DELAY_REPLY:
            answer = effect()
            await asyncio.sleep(fault.seconds)
        else:
            if fault.kind in {FaultKind.FAIL_LATE, FaultKind.CRASH_LATE}:
                asyncio.get_running_loop().call_later(fault.seconds, _quietly, effect)
            elif fault.kind is not FaultKind.TORN:
                _quietly(effect)
            if fault.kind in {FaultKind.CRASH_AFTER, FaultKind.CRASH_LATE}:
                raise self._died(number)
            raise fault.error()
        await self.schedule()
        return answer

    def _died(self, number: int) -> Crash:
        """Remember that this process is dead."""
        self.dead = True
        return Crash(f"{self.client_id} at operation {number}")


def _quietly(effect: Callable[[], object]) -> None:
    """Apply an effect whose answer nobody hears."""
    try:
        effect()
    except RuntimeFailure:
        return  # nobody hears the answer
