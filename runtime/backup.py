"""A backup: the barrier, the shard streams, the packs, and the manifest that names them.

Owns how one backup is taken. Whether it may be committed is `runtime.lineage`'s; when one is due, the supervisor's.
"""

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Mapping

from runtime import changes, local_files
from runtime.changes import Delta, Scope
from runtime.composition import Base, Capture, Instant, Position, Taken, compose, differs, known_shard, shard_entry
from runtime.edge.gate import Gate
from runtime.engine import storage as layout
from runtime.engine.process import Engine
from runtime.engine.stream import ShardStream
from runtime.errors import EngineError
from runtime.repository import names
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import PackEntry, SegmentManifests, ShardEntry
from runtime.repository.packs import PackSource
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.tar import TarStream
from runtime.task_group import task_group

_DRAIN_SECONDS = 2.0
_PARALLEL_OPENS = 16
_PARALLEL_PACKS = 2


class Busy(Exception):
    """Writes in flight did not end in time, so there is no moment to take; try again soon."""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Backups:
    """Takes backups of one engine into one repository, one at a time.

    `journal` returns up to where the journal holds what was written by now. `wall_clock` is for people: nothing trusts
    it.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        gate: Gate,
        repository: Repository,
        *,
        journal: Callable[[], JournalPosition] | None = None,
        wall_clock: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._gate = gate
        self._repository = repository
        self._journal = journal
        self._wall_clock = wall_clock
        self._numbered = (0, 0)
        self._numbers = itertools.count()

    async def take(self, base: Base, position: Position, *, must: bool, settles: bool = False) -> Taken:
        """Take a backup of what changed since `base`.

        Writes are held from just before the stream requests to the first byte of each. With `must`, writes that do
        not end do not prevent it; their collections' points are then not known. While a write without an answer is
        unsettled only the backup that `settles` it is taken: the journal has to say before it which one holds that.
        Raises Busy, EngineError, StoreError.
        """
        async with contextlib.AsyncExitStack() as open_streams:
            version = await self._engine.admin.version()
            instant = await self._instant(base, must=must, settles=settles, open_streams=open_streams)
            return await self._pack(base, position, instant, version)

    async def _instant(
        self, base: Base, *, must: bool, settles: bool, open_streams: contextlib.AsyncExitStack
    ) -> Instant:
        loop = asyncio.get_running_loop()
        async with self._gate.held(drain_seconds=_DRAIN_SECONDS) as quiet:
            started = loop.time()
            if not must and (not quiet or (self._gate.is_unsettled and not settles)):
                raise Busy
            written = self._gate.written()
            journal = self._journal() if self._journal else None
            collections = [name for name in await self._engine.admin.collections() if self._is_kept(name)]
            aliases = {
                alias: name for alias, name in (await self._engine.admin.aliases()).items() if name in collections
            }
            delta = Delta.between(base.written, written)
            scopes = changes.scopes(base.manifest, delta, collections, aliases)
            captures = await self._open(base, scopes, open_streams)
            for name, capture in captures.items():
                # After the first bytes: the streams have waited for the engine's update queue, so the count is theirs.
                if quiet and layout.counts_everything(capture.config):
                    capture.points = await self._engine.admin.count(name)
            return Instant(self._wall_clock(), written, collections, aliases, captures, journal, loop.time() - started)

    def _is_kept(self, collection: str) -> bool:
        return not self._settings.collections or collection in self._settings.collections

    async def _open(
        self, base: Base, scopes: Mapping[str, Scope], open_streams: contextlib.AsyncExitStack
    ) -> dict[str, Capture]:
        """Open the streams of every collection to look at, and return when each has delivered its first byte."""
        storage = self._settings.storage_dir
        captures = {
            name: Capture(layout.read_config(storage, name))
            for name, scope in scopes.items()
            if scope is not Scope.NOTHING
        }
        limit = asyncio.Semaphore(_PARALLEL_OPENS)

        async def open_one(name: str, shard: str, known: SegmentManifests) -> None:
            async with limit:
                stream = await asyncio.to_thread(self._engine.stream, name, shard, known)
                if stream is not None:
                    open_streams.callback(stream.close)
                captures[name].streams[shard] = stream

        async with task_group() as group:
            for name in captures:
                for shard in layout.shard_ids(storage, name):
                    entry = known_shard(base.manifest, name, shard) if scopes[name] is Scope.CHANGES else None
                    group.create_task(open_one(name, shard, entry.segment_manifests if entry else {}))
        return captures

    async def _pack(self, base: Base, position: Position, instant: Instant, version: str) -> Taken:
        """Upload what the streams hold, and compose the manifest."""
        limit = asyncio.Semaphore(_PARALLEL_PACKS)
        packs: dict[str, PackEntry] = {}
        shards: dict[str, dict[str, ShardEntry]] = {name: {} for name in instant.captures}
        streamed = 0

        async def pack_one(name: str, shard: str, stream: ShardStream | None) -> None:
            nonlocal streamed
            known = known_shard(base.manifest, name, shard)
            if stream is None:
                if known is None:
                    raise EngineError(f"Qdrant says that nothing changed in shard {shard} of {name!r}, which is new")
                shards[name][shard] = known
                return
            async with limit:
                pack = names.pack(position.epoch, position.seq, self._number(position), instant.at)
                folder = layout.shard_dir(self._settings.storage_dir, name, shard)
                source = PackSource(
                    pack,
                    TarStream(stream),
                    layout.placed,
                    known.files if known else {},
                    lambda path, entry: local_files.holds(folder / path, entry),
                )
                if await asyncio.to_thread(source.has_anything):
                    info = await self._repository.write_pack(pack, _WholeStream(source, stream))
                    packs[pack] = PackEntry(info.size, info.crc32c, source.sha256)
                else:
                    await asyncio.to_thread(stream.finish)
            streamed += source.streamed_bytes
            shards[name][shard] = shard_entry(source, known, f"shard {shard} of collection {name!r}")

        async with task_group() as group:
            for name, capture in instant.captures.items():
                for shard, stream in capture.streams.items():
                    group.create_task(pack_one(name, shard, stream))
        manifest = compose(base, position, instant, shards, packs, version)
        # With a journal a new position is worth a manifest: nothing before it is done again at a start.
        advanced = instant.journal is not None and instant.written.total > base.written.total
        is_news = bool(position.skipped) or base.leaves_behind or advanced or differs(manifest, base.manifest)
        return Taken(
            manifest=manifest if is_news else None,
            written=instant.written,
            looked_at=tuple(sorted(instant.captures)),
            streamed_bytes=streamed,
            packed_bytes=sum(pack.bytes for pack in packs.values()),
            held_seconds=instant.seconds,
        )

    def _number(self, position: Position) -> int:
        """Return the next pack's number: an attempt that failed leaves its numbers behind, names are never reused."""
        if self._numbered != (position.epoch, position.seq):
            self._numbered, self._numbers = (position.epoch, position.seq), itertools.count()
        return next(self._numbers)


class _WholeStream:
    """A pack whose last byte is only handed out when the engine's stream has come to its proper end."""

    def __init__(self, source: PackSource, stream: ShardStream) -> None:
        self._source = source
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Return the pack's next bytes."""
        data = self._source.read(size)
        if not data:
            self._stream.finish()
        return data
