"""One collection of a source brought into a scratch engine: by a snapshot, or point by point.

Owns which way is taken, and what an earlier run's half is still worth. Whole or not at all: what it returns was
compared with the source.
"""

import asyncio
from collections.abc import Callable

from runtime.errors import EngineError, IntegrityError
from runtime.logs import get_logger
from runtime.run_sink import Progress
from runtime.sync import relay, schema
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.mirror import Mirror, Sides
from runtime.sync.reading import Pacer
from runtime.sync.remote import Passing, Remote, Snapshot
from runtime.sync.schema import Schema
from runtime.sync.survey import fingerprints

log = get_logger()


class Bringing:
    """Brings collections from a source. `can_snapshot`: its snapshots hold everything, and our engine takes them."""

    def __init__(
        self, source: Remote, scratch: Remote, ledger: Ledger, progress: Progress, *, is_whole: bool, can_snapshot: bool
    ) -> None:
        self._source = source
        self._scratch = scratch
        self._ledger = ledger
        self._progress = progress
        self._is_whole = is_whole
        self._can_snapshot = can_snapshot

    async def clear(self, wanted: set[str]) -> None:
        """Drop what the scratch engine has of collections that nobody wants, or that no entry knows."""
        for name in await self._scratch.collections():
            if name not in wanted or self._ledger.entry(name).stage == "new":
                await schema.drop(self._scratch, name)
        there = await self._scratch.collections()
        for name in wanted - set(there):
            if self._ledger.entry(name).stage != "new":
                self._ledger.forget(name)

    async def bring(self, collection: str) -> Entry:
        """Bring one collection; return its entry, done and compared. Raises EngineError, IntegrityError."""
        wanted = await schema.read(self._source, collection)
        if wanted is None:
            raise EngineError(f"collection {collection!r} is gone from the source meanwhile", hint="Run it again")
        entry = await self._resumed(collection, wanted)
        if entry.is_done:
            return entry
        if entry.stage == "new" and not (self._can_snapshot and await self._by_snapshot(entry)):
            await schema.make(self._scratch, collection, wanted)
            entry.by = "copy"
            entry.begin("copy")
            entry.fingerprint = await self._fingerprint(collection)
            self._ledger.save(entry)
        if not entry.is_done:
            sides = Sides(self._source, self._scratch, may_delete=True)
            await Mirror(
                sides,
                entry,
                keep=self._ledger.save,
                fingerprint=lambda: self._fingerprint(collection),
                progress=self._progress,
                pacer=Pacer(most=wanted.most_points),
            ).run()
        await self._compare_schemas(collection)
        return entry

    async def _resumed(self, collection: str, wanted: Schema) -> Entry:
        """Return the entry to go on with: an earlier run's, unless it is of a collection that is another one now."""
        entry = self._ledger.entry(collection)
        if entry.snapshot is not None:
            await self._source.delete_snapshot(collection, entry.snapshot)  # left by a run that was killed or cut off
            entry.snapshot = None
        if entry.stage != "new" and entry.essence == wanted.essence():
            if not entry.is_done:
                return entry
            now = await self._fingerprint(collection)
            if now is not None and now == entry.fingerprint:
                return entry
            if entry.by == "copy":
                entry.begin("compare")
                entry.reading, entry.fingerprint = 1, now
                return entry
        if collection in await self._scratch.collections():
            await schema.drop(self._scratch, collection)
        entry = self._ledger.forget(collection)
        entry.essence = wanted.essence()
        return entry

    async def _by_snapshot(self, entry: Entry) -> bool:
        """Bring a collection as a snapshot; False when the source does not make one, or our engine does not take it."""
        collection = entry.collection
        fingerprint, before = await self._fingerprint(collection), await self._source.count(collection)
        try:
            snapshot = await self._make_snapshot(entry)
            self._progress.files += before
            try:
                await relay.bring(self._source, collection, snapshot, self._scratch, self._show(snapshot, before))
            finally:
                await self._take_away(entry)
        except EngineError as error:
            message = f"Collection {collection} is copied point by point, its snapshot could not be had: {error}"
            log.warning("sync.no_snapshot", message=message, collection=collection)
            if collection in await self._scratch.collections():
                await schema.drop(self._scratch, collection)
            return False
        entry.by, entry.fingerprint = "snapshot", fingerprint
        entry.points = await self._scratch.count(collection)
        after = await self._source.count(collection)
        is_still = fingerprint is not None and fingerprint == await self._fingerprint(collection)
        if entry.points != before and (is_still or before == after):
            raise IntegrityError(
                f"the snapshot of {collection!r} gave {entry.points} points, the source counts {before}",
                hint="Run it again",
            )
        if snapshot.sha256 is None:
            # Nothing says that it arrived as it was made: every point is compared.
            entry.begin("compare")
            entry.reading = 1
        else:
            entry.stage = "done"
        self._ledger.save(entry)
        return True

    async def _make_snapshot(self, entry: Entry) -> Snapshot:
        try:
            snapshot = await self._source.create_snapshot(entry.collection)
        except Passing:
            # Which of those that are there now is ours nobody can tell: another one's is not to be deleted.
            log.warning(
                "sync.maybe_left_behind",
                message=f"A snapshot of {entry.collection} may have been left on the source: its answer was lost",
                collection=entry.collection,
            )
            raise
        entry.snapshot = snapshot.name
        self._ledger.save(entry)
        return snapshot

    async def _take_away(self, entry: Entry) -> None:
        """Delete the snapshot that was made on the source. One that cannot be is told, and left to the next run."""
        if entry.snapshot is None:
            return
        try:
            await self._source.delete_snapshot(entry.collection, entry.snapshot)
        except EngineError as error:
            log.warning(
                "sync.left_behind",
                message=f"The snapshot {entry.snapshot} of {entry.collection} was left on the source: {error}",
                collection=entry.collection,
                snapshot=entry.snapshot,
            )
        else:
            entry.snapshot = None
            self._ledger.save(entry)

    def _show(self, snapshot: Snapshot, points: int) -> Callable[[int], None]:
        """Return what shows a snapshot's bytes as the points that they are."""
        begun = self._progress.files_done

        def show(sent: int) -> None:
            self._progress.files_done = begun + points * sent // max(snapshot.size, 1)
            self._progress.on_change()

        return show

    async def _compare_schemas(self, collection: str) -> None:
        source, scratch = await asyncio.gather(
            schema.read(self._source, collection), schema.read(self._scratch, collection)
        )
        if source is None or scratch is None or source.essence() != scratch.essence():
            raise IntegrityError(
                f"the configuration or the payload indexes of {collection!r} are not the same at both ends",
                hint="Did somebody change them meanwhile? Run it again",
            )

    async def _fingerprint(self, collection: str) -> str | None:
        return (await fingerprints(self._source)).get(collection) if self._is_whole else None
