"""What must never happen, checked while it would happen: at every change of HEAD and at every acknowledgement.

With the journal nothing is excused: what was acknowledged is in every later writer's engine, in its order. Sees the
bucket and the clients' side; looks into an instance only to ask what its engine holds.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runtime.instance import Role
from runtime.journal.order import Entry
from runtime.logs import get_logger
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.store import ObjectInfo
from tests.simulation.engine import files, writes_of
from tests.support.model_store import ModelBucket

log = get_logger()

if TYPE_CHECKING:
    from tests.simulation.container import Container


class Violation(Exception):
    """An invariant was broken."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One write that a client was told is done."""

    at: float
    instance: str
    epoch: int


@dataclass(slots=True)
class Judge:
    """The history so far, and what of it may be missing in the end."""

    bucket: "JudgedBucket"
    journal: bool = False
    journaled: set[str] = field(default_factory=set)
    head: Head | None = None
    committed: frozenset[str] = frozenset()
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    excused: dict[str, str] = field(default_factory=dict)
    containers: dict[str, "Container"] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    calm: bool = True
    longest_unsaved: float = 0.0
    forced: int = 0
    handed_over: int = 0
    commits: int = 0

    def head_changed(self, client: str, data: bytes, now: float) -> None:
        """Compare HEAD with what it was."""
        old, new = self.head, Head.decode(data)
        self.head = new
        if old is None:
            self._must(
                (new.epoch, new.seq, new.manifest, new.holder) == (1, 0, None, client), f"a new lineage is {new}"
            )
        elif new.epoch > old.epoch:
            self._claimed(client, old, new, now)
        else:
            self._changed(client, old, new)

    def acknowledge(self, container: "Container", write: str, now: float) -> None:
        """Judge one acknowledgement in the moment it is given."""
        if self.journal:
            self._acknowledge_journaled(container, write, now)
            return
        head, epoch, name = self.head, container.instance.lineage.epoch, container.name
        if head is None or (head.holder, head.epoch) != (name, epoch):
            self._must(False, f"{name} acknowledges {write} in epoch {epoch}, but HEAD says {head}")
            return
        self._judge_held(container, write, epoch)
        log.info("write.acknowledged", message=f"    {write} acknowledged")
        self.acknowledged[write] = Acknowledged(now, name, head.epoch)

    def replayed(self, collection: str, entries: Sequence[Entry]) -> None:
        """Judge the order of what is done again at once."""
        places = [(entry.position.epoch, entry.record.ids) for entry in entries]
        self._must(places == sorted(places), f"replayed in {collection} in the order {places}")

    def appended(self, entry: JournalObject) -> None:
        """Note what a new journal object holds."""
        self.journaled |= {json.loads(record.body)["w"] for record in entry.records}

    def _acknowledge_journaled(self, container: "Container", write: str, now: float) -> None:
        """Judge an acknowledgement that relies on the journal alone."""
        head, name = self.head, container.name
        epoch = container.applied[write] or 0
        self._must(write in self.journaled, f"{name} acknowledges {write}, which is in no journal")
        if head is not None and (head.holder, head.epoch) == (name, epoch):
            self._judge_held(container, write, epoch)
        log.info("write.acknowledged", message=f"    {write} acknowledged")
        self.acknowledged[write] = Acknowledged(now, name, epoch)
        if head is not None and head.epoch > epoch:
            later = self.containers[head.holder]
            if later.alive and later.instance.role is Role.WRITER and later.instance.lineage.epoch == head.epoch:
                self._must(
                    write in writes_of(later.engine.disk), f"{name} acknowledges {write}, which {later.name} lacks"
                )

    def _judge_held(self, container: "Container", write: str, epoch: int | None) -> None:
        """Compare the engine of who acknowledges with what it must and may hold."""
        name = container.name
        held = writes_of(container.engine.disk)
        own = {written for written, at in container.applied.items() if at == epoch}
        self._must(write in held, f"{name} acknowledges {write}, which its engine does not hold")
        self._must(self.committed <= held, f"the engine of {name} lacks {sorted(self.committed - held)}")
        foreign = held - self.committed - own - self.journaled
        self._must(not foreign, f"the engine of {name} holds {sorted(foreign)} of another term")
        self._must_hold_acknowledged(held, epoch or 0, f"the engine of {name}")

    def _must_hold_acknowledged(self, held: Collection[str], epoch: int, what: str) -> None:
        """With the journal: everything that was acknowledged in earlier epochs."""
        if self.journal:
            lost = {write for write, given in self.acknowledged.items() if given.epoch < epoch and write not in held}
            self._must(not lost, f"{what} lacks {sorted(lost)}, which was acknowledged")

    def crashed(self, name: str, why: str, now: float) -> None:
        """Excuse what an instance had acknowledged and not saved when it ended without a chance to."""
        if self.journal:
            return
        for write, given in self.acknowledged.items():
            if given.instance == name and write not in self.committed and write not in self.excused:
                self.excused[write] = why
                self.longest_unsaved = max(self.longest_unsaved, now - given.at)
                container = self.containers[name]
                if self.calm and container.process.last_frozen < given.at:
                    bound = container.promised_seconds
                    self._must(now - given.at <= bound, f"{write} was unsaved for {now - given.at:.1f} s ({why})")

    def heard_from(self, name: str, since: float) -> bool:
        """Whether an instance acknowledged anything after a moment, as the writer that it is."""
        epoch = self.head.epoch if self.head else 0
        return any(
            (given.instance, given.epoch) == (name, epoch) and given.at > since for given in self.acknowledged.values()
        )

    def finished(self) -> None:
        """Compare the end with what was acknowledged."""
        lost = self.acknowledged.keys() - self.committed - self.excused.keys()
        self._must(not lost, f"acknowledged and lost: {sorted(lost)}")
        self._judge_order()
        if self.violations:
            raise Violation("; ".join(self.violations))

    def _judge_order(self) -> None:
        """In each epoch's journal a collection's writes have the order in which the engine applied them."""
        last: dict[tuple[int, str | None], int] = {}
        for name in sorted(self.bucket.objects):
            position = names.journal_position(name)
            if position is None or self.head is None:
                continue
            found = JournalObject.decode(
                self.bucket.objects[name].data, lineage=self.head.lineage, position=JournalPosition(*position)
            )
            for record in found.records:
                place = (position[0], record.collection)
                if record.ids:
                    self._must(record.ids[0] > last.get(place, -1), f"{name} holds number {record.ids[0]} too late")
                    last[place] = record.ids[0]

    def _claimed(self, client: str, old: Head, new: Head, now: float) -> None:
        """Judge a new epoch."""
        same = replace(old, epoch=old.epoch + 1, holder=client, clean=False, requested_by=None)
        self._must(new == same, f"{client} claims {new} after {old}")
        if old.clean:
            self.handed_over += 1
            return
        if old.holder == client:
            return
        self.forced += 1
        before = self.containers[old.holder]
        self._must(old.requested_by is not None, f"{client} claims by force what nobody asked for")
        well = self.calm and before.is_well(now)
        self._must(not well, f"{client} takes the lineage from {old.holder}, which is well")
        self.crashed(old.holder, "claimed by force", now)

    def _changed(self, client: str, old: Head, new: Head) -> None:
        """Judge a change within an epoch."""
        self._must((new.epoch, new.holder) == (old.epoch, old.holder), f"{client} makes {new} of {old}")
        if replace(new, requested_by=None) == replace(old, requested_by=None):
            return
        self._must(client == old.holder, f"{client} commits what {old.holder} holds")
        if new.manifest == old.manifest:
            self._must(new.seq == old.seq, f"{client} raises the sequence number without a backup")
            return
        self._must(new.seq == old.seq + 1, f"the backups go from {old.seq} to {new.seq}")
        self._committed(old, new)

    def _committed(self, old: Head, new: Head) -> None:
        """Look at a backup that HEAD now names: its manifest, its packs, and that it lacks nothing."""
        self.commits += 1
        there = self.bucket.objects.get(new.manifest or "")
        if there is None or hashlib.sha256(there.data).hexdigest() != new.manifest_sha256:
            self._must(False, f"HEAD names {new.manifest}, which is not there as it says")
            return
        manifest = Manifest.decode(there.data)
        self._must((manifest.epoch, manifest.seq) == (new.epoch, new.seq), f"{new.manifest} is from another term")
        self._must(manifest.parent == old.manifest, f"{new.manifest} stands on {manifest.parent}, not {old.manifest}")
        self._must(manifest.packs.keys() <= self.bucket.objects.keys(), f"{new.manifest} names packs that are missing")
        held = frozenset(path.rpartition("/")[2] for _, path, _ in files(manifest))
        self._must(self.committed <= held, f"{new.manifest} lacks {sorted(self.committed - held)}")
        self._must_hold_acknowledged(held, new.epoch, str(new.manifest))
        self.committed = held

    def _must(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001  the claim itself
        """Note what is broken."""
        if not holds:
            self.violations.append(otherwise)


class JudgedBucket(ModelBucket):
    """A bucket whose changes are judged as they take effect, and noted as a trace."""

    judge: Judge
    trace: list[tuple[float, str, str, str]]

    def put(self, client: str, verb: str, name: str, data: bytes, expected: int) -> ObjectInfo:
        """Store, and tell the judge."""
        info = super().put(client, verb, name, data, expected)
        now = self.now()
        self.trace.append((now, client, verb, name.rpartition("/")[2]))
        log.info("bucket.changed", message=f"    {verb} {name} by {client}")
        if (position := names.journal_position(name)) is not None and self.judge.head is not None:
            self.judge.appended(
                JournalObject.decode(data, lineage=self.judge.head.lineage, position=JournalPosition(*position))
            )
        if name == names.HEAD:
            self.judge.head_changed(client, data, now)
        return info

    def now(self) -> float:
        """Return the virtual time."""
        raise NotImplementedError
