"""One collection made the same in two engines, point by point, and shown to be.

Owns the copy and the comparison. The source is read in the order of the ids, once to copy it and once more to compare
it with the target; what differs is written again and the source is read again, until one whole reading finds no
difference. Then the source said twice the same of every point, all of the first before any of the second: the target
is what the source was at the moment between the two, whoever wrote to it. Where no reading ends so, it is refused.

Every page's end is kept in the ledger, so a run that is killed repeats a page.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runtime.errors import EngineError, IntegrityError
from runtime.run_sink import Progress
from runtime.sync.exact import exact_json
from runtime.sync.ledger import Entry
from runtime.sync.pages import Page, PointId, digest, order, total
from runtime.sync.reading import Pacer, pages, pairs
from runtime.sync.remote import Remote

_MOST_READINGS = 6
# An engine takes 32 MiB in one request.
_LARGEST_UPSERT = 24 * 1024 * 1024
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Sides:
    """Where points are read and where they are to be. `may_delete`: also what the source does not have goes."""

    source: Remote
    target: Remote
    may_delete: bool


class Mirror:
    """One collection on its way. `fingerprint` tells the source's, `keep` saves the entry."""

    def __init__(
        self,
        sides: Sides,
        entry: Entry,
        *,
        keep: Callable[[Entry], None],
        fingerprint: Callable[[], Awaitable[str | None]],
        progress: Progress,
        pacer: Pacer,
    ) -> None:
        self._source, self._target, self._may_delete = sides.source, sides.target, sides.may_delete
        self._entry = entry
        self._collection = entry.collection
        self._keep = keep
        self._fingerprint = fingerprint
        self._progress = progress
        self._pacer = pacer

    async def run(self) -> None:
        """Bring the collection from its entry's stage to `done`: copied, compared, counted.

        Raises EngineError (a request failed, or the source never stood still), IntegrityError.
        """
        entry = self._entry
        if entry.is_done:
            return
        if entry.stage == "copy":
            await self._copy()
            await self._begin_reading(1)
        while True:
            await self._compare()
            if entry.surplus and not self._may_delete:
                raise EngineError(
                    f"{self._target} holds {entry.surplus} points of {self._collection!r} that the source does not",
                    hint="--delete-surplus deletes them; or empty the collection there",
                )
            if not entry.differences and await self._counts_agree():
                break
            if entry.reading >= _MOST_READINGS:
                raise EngineError(
                    f"collection {self._collection!r} was not the same at both ends after {entry.reading} readings: "
                    f"{entry.differences} points differed in the last one",
                    hint="Stop what writes to it for the time of the sync, then run it again: it goes on from here",
                )
            await self._begin_reading(entry.reading + 1)
        entry.stage = "done"
        self._keep(entry)

    async def _begin_reading(self, number: int) -> None:
        self._entry.begin("compare")
        self._entry.reading = number
        self._entry.fingerprint = await self._fingerprint()
        self._keep(self._entry)

    async def _copy(self) -> None:
        entry = self._entry
        await self._expect()
        found = pages(self._source, self._collection, entry.cursor, self._pacer)
        async with contextlib.aclosing(found):
            async for page, count in found:
                await self._upsert(page.raw)
                entry.points += count
                self._advance(page, count)

    async def _compare(self) -> None:
        entry = self._entry
        await self._expect()
        found = pairs(self._source, self._target, self._collection, entry.cursor, self._pacer)
        async with contextlib.aclosing(found):
            async for start, ours, theirs in found:
                points = ours.points()
                digests = [digest(point) for point in points]
                if not _same(ours, theirs, digests):
                    known = dict(zip((point["id"] for point in points), digests, strict=True))
                    entry.differences += await self._reconcile(start, ours, known)
                entry.points += len(points)
                entry.digest = f"{total(digests, int(entry.digest, 16)):x}"
                self._advance(ours, len(points))

    async def _expect(self) -> None:
        """Show how much is still to be read."""
        self._progress.files += max(await self._source.count(self._collection) - self._entry.points, 0)
        self._progress.on_change()

    def _advance(self, page: Page, count: int) -> None:
        # None is the beginning: after the last page the stage ends, and with it the cursor's meaning.
        if page.next is not None:
            self._entry.cursor = page.next
            self._keep(self._entry)
        self._progress.files_done += count
        self._progress.on_change()

    async def _counts_agree(self) -> bool:
        """Whether both engines count what was read; the source's may have grown since. Raises IntegrityError."""
        source, target = await asyncio.gather(
            self._source.count(self._collection), self._target.count(self._collection)
        )
        if target != self._entry.points:
            raise IntegrityError(
                f"{self._target} counts {target} points in {self._collection!r}, {self._entry.points} were compared",
                hint="Is anybody else writing to it? Run it again",
            )
        return source == target

    async def _reconcile(self, start: PointId | None, ours: Page, digests: dict[PointId, int]) -> int:
        """Make the target hold exactly a page of the source, from its first id to the next page's; return the changes.

        Read page by page: there may be any number of points that the source does not have.
        """
        right: set[PointId] = set()
        surplus: list[PointId] = []
        changes, cursor = 0, start
        while True:
            there = await self._target.scroll(self._collection, cursor, self._pacer.limit)
            inside = [p for p in there.points() if ours.next is None or order(p["id"]) < order(ours.next)]
            right |= {point["id"] for point in inside if digests.get(point["id"]) == digest(point)}
            surplus += [point["id"] for point in inside if point["id"] not in digests]
            changes += await self._delete(surplus, at_least=_DELETED_AT_ONCE)
            if there.next is None or (ours.next is not None and order(there.next) >= order(ours.next)):
                break
            cursor = there.next
        changes += await self._delete(surplus, at_least=1)
        wrong = [point for point in ours.points() if point["id"] not in right]
        if wrong:
            # Every other time as anybody writes it: digits that Qdrant's parser needs may mislead an exact one.
            is_plain = self._entry.reading % 2 == 0
            await self._upsert(json.dumps(wrong).encode() if is_plain else exact_json(wrong))
        return changes + len(wrong)

    async def _delete(self, surplus: list[PointId], *, at_least: int) -> int:
        """Delete what was gathered, once it is enough; where that is not allowed, count it."""
        count = len(surplus)
        if count < at_least:
            return 0
        if self._may_delete:
            await self._target.delete(self._collection, surplus)
        self._entry.surplus += count
        surplus.clear()
        return count

    async def _upsert(self, raw: bytes) -> None:
        points = json.loads(raw) if len(raw) > _LARGEST_UPSERT else []
        if len(points) < 2:  # a single one, however large, is for the engine to take or refuse
            if raw.strip() != b"[]":
                await self._target.upsert(self._collection, raw)
            return
        for half in (points[: len(points) // 2], points[len(points) // 2 :]):
            await self._upsert(json.dumps(half).encode())


def _same(ours: Page, theirs: Page, digests: Sequence[int]) -> bool:
    if ours.next != theirs.next:
        return False
    return ours.raw == theirs.raw or [digest(point) for point in theirs.points()] == digests
