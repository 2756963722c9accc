"""The repository: HEAD, manifests, packs and journal in a store, read and written in the order that keeps them true.

Owns the objects. Write order is packs, manifest, HEAD; read order the reverse. Decides nothing about who may write:
that is `runtime.lineage`.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runtime.errors import AlreadyExists, IntegrityError, ObjectMissing, PreconditionFailed, StoreUnreachable
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo, Store


@dataclass(frozen=True, slots=True)
class HeadState:
    """HEAD as it was read: its content and the generation that a change of it must name."""

    head: Head
    generation: int


class Superseded(Exception):
    """HEAD was changed by somebody else; `found` is what it says now (None: there is none)."""

    def __init__(self, found: HeadState | None) -> None:
        super().__init__("HEAD was changed by somebody else")
        self.found = found


class Repository:
    """The objects below one prefix of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __str__(self) -> str:
        return str(self.store)

    async def head(self) -> HeadState | None:
        """Return HEAD, or None when the bucket answers that there is none. Raises StoreError, IntegrityError."""
        try:
            data, generation = await self.store.read(names.HEAD)
        except ObjectMissing:
            return None
        return HeadState(Head.decode(data), generation)

    async def swap_head(self, head: Head, generation: int) -> HeadState:
        """Replace HEAD if it is still the given generation (0: if there is none).

        An answer that was lost is looked up, never assumed: HEAD holding exactly these bytes is ours.
        Raises Superseded, StoreError.
        """
        data = head.encode()
        try:
            info = await self.store.swap(names.HEAD, data, generation)
        except (PreconditionFailed, StoreUnreachable) as error:
            found = await self.head()
            if found is not None and found.head == head and found.generation != generation:
                return found
            if isinstance(error, PreconditionFailed):
                raise Superseded(found) from error
            raise
        return HeadState(head, info.generation)

    async def manifest(self, name: str, sha256: str | None = None) -> Manifest:
        """Read a manifest by its object name. Raises IntegrityError when it is missing or not what the hash says."""
        try:
            data, _ = await self.store.read(name)
        except ObjectMissing as error:
            raise IntegrityError(f"{name} is missing from {self}") from error
        manifest = Manifest.decode(data, sha256=sha256)
        if names.manifest(names.backup_id(manifest.epoch, manifest.seq)) != name:
            raise IntegrityError(f"{name} holds the manifest of another backup")
        return manifest

    async def write_manifest(self, manifest: Manifest) -> tuple[str, str]:
        """Create a manifest's object; return its name and the SHA-256 of its content. Raises StoreError.

        One that no restore would accept is not written: IntegrityError.
        """
        data = manifest.encode()
        Manifest.decode(data)
        name = names.manifest(names.backup_id(manifest.epoch, manifest.seq))
        await self.store.write_new(name, data)
        return name, hashlib.sha256(data).hexdigest()

    async def manifest_names(self) -> list[str]:
        """Return the manifests' object names, oldest first: one listing."""
        found = [info.name async for info in self.store.list(names.MANIFESTS)]
        return sorted(name for name in found if names.manifest_id(name))

    async def has_manifests(self) -> bool:
        """Whether any manifest is there."""
        async for info in self.store.list(names.MANIFESTS):
            if names.manifest_id(info.name):
                return True
        return False

    async def write_pack(self, name: str, source: ByteSource) -> ObjectInfo:
        """Upload a pack from a stream. Raises IntegrityError, StoreError, and whatever the source raises."""
        try:
            return await self.store.upload(name, source)
        except AlreadyExists as error:
            raise IntegrityError(
                f"{name} is taken in {self}", hint="Two writers use the same epoch: is HEAD edited by hand?"
            ) from error

    async def read_range(self, pack: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver part of a pack. Raises IntegrityError when the pack is missing or too short."""
        try:
            await self.store.download(pack, offset, length, sink)
        except ObjectMissing as error:
            raise IntegrityError(f"{pack} is missing from {self}") from error

    async def append_journal(self, entry: JournalObject) -> None:
        """Create a journal object. The same bytes there already are our own, the reply lost.

        Raises AlreadyExists when something else is at its position: whoever put it there sealed the epoch. StoreError.
        """
        await self.store.write_new(names.journal(entry.position.epoch, entry.position.n), entry.encode())

    async def journal_object(self, lineage: str, position: JournalPosition) -> JournalObject:
        """Read a journal object. Raises ObjectMissing, IntegrityError when it is not the one of this place."""
        data, _ = await self.store.read(names.journal(position.epoch, position.n))
        return JournalObject.decode(data, lineage=lineage, position=position)

    async def journal_after(self, position: JournalPosition) -> AsyncIterator[int]:
        """Yield the numbers of an epoch's journal objects beyond a position, lowest first."""
        after = names.journal(position.epoch, position.n) if position.n >= 0 else ""
        async for info in self.store.list(names.journal_epoch(position.epoch), after=after):
            found = names.journal_position(info.name)
            if found is not None:
                yield found[1]

    async def journal_goes_on(self, epoch: int) -> bool:
        """Whether any later epoch has a journal object."""
        async for info in self.store.list(names.JOURNAL, after=f"{names.journal_epoch(epoch)}~"):
            if names.journal_position(info.name):
                return True
        return False

    def objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects below a prefix of the layout."""
        return self.store.list(prefix)
