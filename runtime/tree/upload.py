"""Uploading a directory as the next version: contents first, the version last.

Owns the order, what is sent and what is there already. Memory is bounded by the number of entries and a few blocks,
whatever the size of the files.
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import AlreadyExists, IntegrityError, WrittenMeanwhile
from runtime.repository.store import ObjectInfo, Store
from runtime.tree import disk, versions
from runtime.tree.disk import Changed, Content, Scan
from runtime.tree.entries import Tree
from runtime.tree.together import together
from runtime.tree.versions import Version, content_name

# Up to this size a file goes in one request; larger ones are streamed.
_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """The version that holds the directory, whether this upload made it, and what had to be sent for it."""

    version: Version
    committed: bool
    files: int
    bytes: int


async def upload(store: Store, root: Path, *, after: int | None) -> Sent:
    """Commit what a directory holds. `after`: the version it must follow, the newest at the start if None.

    A directory that is the newest version already makes no new one. Raises ConfigError, WrittenMeanwhile, Changed,
    IntegrityError (what is in the store is damaged), StoreError. When it raises, no version of it is there, or, after
    a StoreError alone, all of it may be.
    """
    await versions.refuse_lineage(store)
    newest = await versions.read(store, None)
    number = newest.number if newest else 0
    if after is not None and after != number:
        raise WrittenMeanwhile(
            f"the newest version of {store} is {number}, not {after}", hint="Download it, then upload again"
        )
    before = await asyncio.to_thread(disk.scan, root)
    contents: dict[str, Content] = {}

    async def look(path: str) -> None:
        contents[path] = await asyncio.to_thread(disk.content, root, path, before.files[path])

    await together(before.files, look)
    sent = await _send(store, root, contents)
    if await asyncio.to_thread(disk.scan, root) != before:
        raise Changed(root, "")
    tree = _tree(before, contents)
    if newest is not None and newest.tree == tree:
        return Sent(newest, committed=False, files=len(sent), bytes=sum(one.size for one in sent))
    version = await versions.commit(store, tree, after=number)
    return Sent(version, committed=True, files=len(sent), bytes=sum(one.size for one in sent))


def _tree(seen: Scan, contents: dict[str, Content]) -> Tree:
    files = {path: disk.entry(stamp, contents[path]) for path, stamp in seen.files.items()}
    return Tree(seen.directories, files, seen.links)


async def _send(store: Store, root: Path, contents: dict[str, Content]) -> list[Content]:
    """Upload each content that is not there; return those. Raises IntegrityError for what is there and is not it."""
    wanted = {content_name(one.sha256): (path, one) for path, one in contents.items()}
    missing = dict(wanted)
    async for info in store.list(versions.CONTENTS):
        if info.name in wanted:
            _compare(info, wanted[info.name][1], store)
            del missing[info.name]

    async def send(name: str) -> None:
        path, one = missing[name]
        try:
            info = await _upload(store, name, root, path, one)
        except AlreadyExists:
            info = await store.stat(name)  # somebody else has just sent it
        _compare(info, one, store)

    await together(missing, send)
    return [one for _, one in missing.values()]


async def _upload(store: Store, name: str, root: Path, path: str, one: Content) -> ObjectInfo:
    with disk.explained(root / path, "read"), disk.opened(root, path) as descriptor:
        source = _Checked(root, path, one, descriptor)
        if one.size > _SMALL_BYTES:
            return await store.upload(name, source)
        data = await asyncio.to_thread(source.whole)
    return await store.write_new(name, data)


def _compare(info: ObjectInfo, one: Content, store: Store) -> None:
    if (info.size, info.crc32c) != (one.size, one.crc32c):
        raise IntegrityError(
            f"{info.name} in {store} is damaged: it is not what its name says",
            hint="Delete that object and upload again; versions that name it are damaged until then",
        )


class _Checked:
    """A file as a source that ends in an error when it is not the content that was hashed."""

    def __init__(self, root: Path, path: str, one: Content, descriptor: int) -> None:
        self._root = root
        self._path = path
        self._one = one
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._left = one.size

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raises Changed."""
        data = os.read(self._descriptor, min(size, disk.READ_BYTES))
        self._digest.update(data)
        self._left -= len(data)
        if self._left < 0 or (not data and (self._left or self._digest.hexdigest() != self._one.sha256)):
            raise Changed(self._root, self._path)
        return data

    def whole(self) -> bytes:
        """Return all of a small file. Raises Changed."""
        return b"".join(iter(lambda: self.read(_SMALL_BYTES), b""))
