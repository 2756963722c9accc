"""A lineage's past in the model store, made of records alone, and a replay of it into a list instead of an engine."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from runtime.errors import IntegrityError, NothingThere
from runtime.journal.replay import Replay
from runtime.journal.requests import Call
from runtime.moment import Moment, bases
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Kind, Opaque, Record
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from tests.support.manifests import LINEAGE, head, head_of, manifest
from tests.support.model_store import ModelBucket, ModelStore

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


class Applied:
    """Stands for an engine: the bodies of what was sent to it, in order."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def send(self, call: Call) -> None:
        """Note it."""
        self.bodies.append(call.body.removesuffix(b"\x10\x01"))

    @asynccontextmanager
    async def sender(self) -> AsyncIterator["Applied"]:
        """Give itself, as something that sends."""
        yield self


@dataclass
class Past:
    """What was done, minute by minute. `contents`: what each backup holds. Each write's body is its own number."""

    bucket: ModelBucket = field(default_factory=ModelBucket)
    manifests: list[Manifest] = field(default_factory=list)
    contents: dict[int, list[bytes]] = field(default_factory=dict)
    held: list[bytes] = field(default_factory=list)
    epoch: int = 1
    n: int = 0
    minute: int = 0
    writes: int = 0
    seals: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def repository(self) -> Repository:
        """The repository, in a process of its own."""
        return Repository(ModelStore(self.bucket, list_page=5))

    @property
    def head(self) -> Head:
        """What HEAD says."""
        if not self.manifests:
            return head(self.epoch)
        return replace(head_of(self.manifests[-1]), epoch=self.epoch)

    @property
    def milliseconds(self) -> int:
        """The time."""
        return round((START + dt.timedelta(minutes=self.minute)).timestamp() * 1000)

    def object(self, kind: Kind, records: Sequence[Record] = (), opaque: Opaque | None = None) -> None:
        """Put the next object."""
        entry = JournalObject(JournalPosition(self.epoch, self.n), LINEAGE, kind, f"w{self.epoch}", records, opaque)
        self.bucket.put("writer", "write_new", names.journal(self.epoch, self.n), entry.encode(), 0)
        self.n += 1

    def record(self, body: bytes | None = None) -> Record:
        """Return a record, of a write that is numbered if it has no body."""
        if body is None:
            self.writes += 1
            body = b"%d " % self.writes
        path = "/qdrant.Points/Upsert"
        return Record("books", "points", "shared", "rpc", "", path, (), applied=True, at=self.milliseconds, body=body)

    def write(self, count: int = 1) -> None:
        """Acknowledge writes of this minute, in one object."""
        records = [self.record() for _ in range(count)]
        self.object("records", records)
        self.held += [record.body for record in records]

    def change(self, *, saved: bool) -> None:
        """Make a change that no journal can do again; a backup holds it unless its writer died first."""
        self.object("opaque", opaque=Opaque("a change", len(self.manifests)))
        if saved:
            self.writes += 1
            self.held.append(b"opaque %d" % self.writes)
            self.save()

    def save(self) -> None:
        """Commit a backup of this minute."""
        seq = len(self.manifests) + 1
        made = manifest(
            self.epoch,
            seq,
            created_at=(START + dt.timedelta(minutes=self.minute)).isoformat(),
            journal=JournalPosition(self.epoch, self.n - 1),
        )
        name = names.manifest(names.backup_id(self.epoch, seq))
        self.bucket.put("writer", "write_new", name, made.encode(), 0)
        self.manifests.append(made)
        self.contents[seq] = list(self.held)

    def take_over(self, *, behind: int = 0) -> None:
        """Seal the epoch, `behind` objects of a writer that does not know it behind the seal; open the next."""
        self.seals.append(names.journal(self.epoch, self.n))
        self.object("seal")
        for _ in range(behind):
            self.object("records", [self.record(b"never ")])
        self.epoch, self.n = self.epoch + 1, 0

    def finish(self) -> None:
        """Write HEAD."""
        there = self.bucket.objects.get(names.HEAD)
        self.bucket.put("writer", "swap", names.HEAD, self.head.encode(), there.generation if there else 0)

    def from_backup(self, base: Manifest) -> list[bytes] | str:
        """Bring a backup to the journal's end; return what is there then, or how it was refused."""
        return asyncio.run(self._from_backup(base, None))

    def at(self, moment: Moment) -> list[bytes] | str:
        """Bring the nearest backup to a moment; return what is there then, or how it was refused."""
        return asyncio.run(self._at(moment))

    async def _at(self, moment: Moment) -> list[bytes] | str:
        """Do what `at` says."""
        try:
            async for choice, found in bases(self.repository, self.head, moment, "older"):
                return await self._from_backup(choice.manifest, found)
        except (IntegrityError, NothingThere) as error:
            self.said = str(error)
            return type(error).__name__
        raise AssertionError("neither a backup nor a refusal")

    async def _from_backup(self, base: Manifest | None, until: Moment | None) -> list[bytes] | str:
        """Do what `from_backup` says, up to a moment if one is given."""
        engine = Applied()
        replay = Replay(self.repository, LINEAGE, "reader", sender=engine.sender, note=lambda _: None, until=until)
        try:
            await replay.read(base, self.head)
        except IntegrityError as error:
            self.said = str(error)
            return type(error).__name__
        return (self.contents[base.seq] if base else []) + engine.bodies
