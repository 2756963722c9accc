"""The writer's journal: records are collected, put into the bucket in order, and only then acknowledged.

Owns group commit: which records share an object, how many objects are under way, and that a write is durable when
every object up to its own is. Owns that whoever finds its place taken is the writer no longer. Knows no engine.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from runtime.edge.gate import Refused
from runtime.errors import AlreadyExists, NotTheWriter, StoreError, StoreUnreachable
from runtime.logs import get_logger
from runtime.repository.journal_object import JournalObject, JournalPosition, Kind, Opaque, Record
from runtime.repository.repository import Repository

log = get_logger()

# Several: a write then waits little longer than one round trip. An object that far behind another proves that the
# other was there.
MOST_UNDER_WAY: Final = 6
_GROUP_BYTES: Final = 2 * 1024 * 1024
# Beyond it no write goes to the engine: those that waited in vain are refused, and still to be put there.
_MOST_WAITING: Final = 64 * 1024 * 1024
_FIRST_RETRY_SECONDS: Final = 0.1
_LONGEST_RETRY_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Group:
    """What goes into one object, and who waits for it."""

    kind: Kind = "records"
    records: list[Record] = field(default_factory=list)
    opaque: Opaque | None = None
    size: int = 0
    durable: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True, slots=True)
class Load:
    """How much was recorded up to a moment; two of them can be compared."""

    records: int
    bytes: int

    def __add__(self, other: "Load") -> "Load":
        return Load(self.records + other.records, self.bytes + other.bytes)

    def __sub__(self, other: "Load") -> "Load":
        return Load(self.records - other.records, self.bytes - other.bytes)


class Journal:
    """One epoch after the other: `begin`, records, `close`. `on_sealed` is told when another writer has sealed it."""

    def __init__(self, repository: Repository, *, linger_seconds: float, patience_seconds: float) -> None:
        self.on_sealed: Callable[[], None] = lambda: None
        self.objects = 0
        self.failure: StoreError | None = None
        self.failing_since: float | None = None
        self._repository = repository
        self._linger = linger_seconds
        self._patience = patience_seconds
        self._records = 0
        self._bytes = 0
        self._waiting = 0
        self._lineage = ""
        self._writer = ""
        self._epoch: int | None = None
        self._accepts = False
        self._next = 0
        self._open: _Group | None = None
        self._closed: deque[tuple[int, _Group]] = deque()
        self._under_way: dict[int, _Group] = {}
        self._stored: set[int] = set()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(MOST_UNDER_WAY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    @property
    def load(self) -> Load:
        """How much was recorded by this process so far."""
        return Load(self._records, self._bytes)

    @property
    def waiting(self) -> int:
        """How many records are not durable yet."""
        groups = [*self._under_way.values(), *(group for _, group in self._closed)]
        return sum(len(group.records) for group in (*groups, *([self._open] if self._open else [])))

    @property
    def reached(self) -> JournalPosition | None:
        """The last position that was given away; None while no journal is kept."""
        return None if self._epoch is None else JournalPosition(self._epoch, self._next - 1)

    @property
    def epoch(self) -> int | None:
        """The epoch that is recorded; None when none is."""
        return self._epoch

    def begin(self, lineage: str, epoch: int, writer: str) -> None:
        """Start an epoch's journal, which nobody has written to."""
        self.abandon()
        self._lineage, self._writer, self._epoch, self._next = lineage, writer, epoch, 0
        self._accepts = True
        self._sender = asyncio.create_task(self._send(epoch), name="journal")

    def position(self) -> JournalPosition:
        """Return the position that contains everything recorded so far. Raises NotTheWriter."""
        if self._epoch is None:
            raise NotTheWriter("this instance keeps no journal any more")
        self._cut()
        return JournalPosition(self._epoch, self._next - 1)

    def append(self, record: Record) -> asyncio.Future[None]:
        """Record a write that the engine applied; return what is done when it is durable. Raises Refused."""
        self.require_open()
        if self._open is not None and self._open.size + len(record.body) > _GROUP_BYTES:
            self._cut()
        if self._open is None:
            self._open = _Group()
        group = self._open
        group.records.append(record)
        group.size += len(record.body)
        self._waiting += len(record.body)
        self._records += 1
        self._bytes += len(record.body)
        self._wake.set()
        return group.durable

    def append_opaque(self, change: Opaque) -> asyncio.Future[None]:
        """Record that something was changed which cannot be done again. Raises Refused."""
        self.require_open()
        self._cut()
        self._open = _Group("opaque", opaque=change)
        group = self._open
        self._cut()
        return group.durable

    async def durable(self, stored: asyncio.Future[None]) -> None:
        """Wait until a record is in the bucket and everything before it. Raises Refused when it may not be told so."""
        done, _ = await asyncio.wait({stored}, timeout=self._patience)
        if not done:
            self.failure = self.failure or StoreUnreachable(f"no answer within {self._patience:g} s")
            raise Refused("the bucket has not taken this write; it may be saved later", retry_after=5)
        if stored.cancelled() or stored.exception() is not None:
            raise Refused("the lineage changed hands while the write was under way", retry_after=1)

    async def durable_when(self, placed: asyncio.Future[asyncio.Future[None] | None]) -> None:
        """Wait as `durable` for a record that gets its place later; None: it got none. Raises Refused."""
        done, _ = await asyncio.wait({placed}, timeout=self._patience)
        if not done:
            raise Refused("other writes that came before have no answer yet; it may be saved later", retry_after=5)
        stored = placed.result()
        if stored is None:
            raise Refused("the lineage changed hands while the write was under way", retry_after=1)
        await self.durable(stored)

    async def durable_to(self, position: JournalPosition) -> None:
        """Return when every object up to a position is in the bucket: a backup may not be ahead of the journal.

        Raises StoreError, NotTheWriter.
        """
        if position.epoch != self._epoch:
            raise NotTheWriter("this instance keeps no journal any more")
        behind = [
            (number, group) for number, group in (*self._under_way.items(), *self._closed) if number <= position.n
        ]
        if not behind:
            return
        done, _ = await asyncio.wait({behind[-1][1].durable}, timeout=self._patience)
        if not done:
            raise StoreUnreachable("the bucket has not taken the journal yet", hint="It is tried again")
        if behind[-1][1].durable.cancelled():
            raise NotTheWriter("another instance sealed the journal")

    async def close(self, *, seconds: float) -> None:
        """Take no more; return when everything recorded is durable, or `seconds` are over."""
        self._accepts = False
        self._cut()
        waiting = [group.durable for _, group in self._closed] + [group.durable for group in self._under_way.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    def abandon(self) -> None:
        """Stop at once; what is not durable is not acknowledged."""
        self._epoch, self._accepts = None, False
        if self._sender is not None:
            self._sender.cancel()
        for task in self._tasks:
            task.cancel()
        groups = [group for _, group in self._closed] + list(self._under_way.values())
        if self._open is not None:
            groups.append(self._open)
        for group in groups:
            group.durable.cancel()
        self._open = None
        self._closed.clear()
        self._under_way.clear()
        self._stored.clear()
        self._slots = asyncio.Semaphore(MOST_UNDER_WAY)
        self._waiting = 0
        self.failure = self.failing_since = None

    def require_reachable(self) -> None:
        """Raise Refused while the bucket does not take the journal: what it cannot keep must not reach the engine."""
        if self.failure is not None:
            raise Refused(f"the bucket does not take the journal: {self.failure.message}", retry_after=5)
        if self._waiting > _MOST_WAITING:
            raise Refused(
                "the bucket takes the journal too slowly: earlier writes are still on their way", retry_after=5
            )

    def require_open(self) -> None:
        """Raise Refused unless writes can be recorded."""
        if not self._accepts:
            raise Refused("this instance is handing over to another", retry_after=1)

    def _cut(self) -> None:
        """Give the open group its number: what comes next goes into another."""
        if self._open is not None:
            self._closed.append((self._next, self._open))
            self._next += 1
            self._open = None
            self._wake.set()

    async def _send(self, epoch: int) -> None:
        """Put groups into the bucket, several at a time, each as soon as it has waited for others to join."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._closed:
                await asyncio.sleep(self._linger)
            await self._slots.acquire()
            if not self._closed:
                self._cut()
            if not self._closed:
                self._slots.release()
                continue
            number, group = self._closed.popleft()
            if self._closed or self._open is not None:
                self._wake.set()
            self._under_way[number] = group
            task = asyncio.create_task(self._put(epoch, number, group), name=f"journal {number}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _put(self, epoch: int, number: int, group: _Group) -> None:
        entry = JournalObject(
            JournalPosition(epoch, number), self._lineage, group.kind, self._writer, group.records, group.opaque
        )
        retry = _FIRST_RETRY_SECONDS
        while True:
            try:
                await self._repository.append_journal(entry)
            except AlreadyExists:
                self._sealed(epoch, number)
                return
            except StoreError as error:
                if self.failure is None:
                    log.error(  # noqa: TRY400 - told once, and it is tried again
                        "journal.failing", message=f"The bucket does not take the journal, it is tried again: {error}"
                    )
                    self.failing_since = asyncio.get_running_loop().time()
                self.failure = error
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY_SECONDS)
            else:
                break
        if self.failure is not None:
            log.info("journal.back", message="The bucket takes the journal again")
            self.failure = self.failing_since = None
        self._note_stored(number)

    def _note_stored(self, number: int) -> None:
        """Tell those whose writes are durable now: every object up to theirs is there."""
        self.objects += 1
        self._stored.add(number)
        while self._under_way and (first := next(iter(self._under_way))) in self._stored:
            self._stored.discard(first)
            group = self._under_way.pop(first)
            self._waiting -= group.size
            self._slots.release()  # not before: no object is ever further behind a hole than this
            if not group.durable.done():
                group.durable.set_result(None)

    def _sealed(self, epoch: int, number: int) -> None:
        log.error(
            "journal.sealed",
            message=f"Another instance sealed epoch {epoch} of the journal at {number}: this one is not the writer",
            epoch=epoch,
            n=number,
        )
        if self._epoch == epoch:
            self.abandon()
            self.on_sealed()
