"""One collection of a backup brought to a target: as a stock snapshot that it fetches, or point by point.

Owns which way is taken. Either way every point is compared afterwards, with the scratch engine that serves the backup.
"""

from runtime.errors import EngineError, IntegrityError, StoreError
from runtime.export import export
from runtime.logs import get_logger
from runtime.repository.repository import Repository
from runtime.repository.signed_urls import Signer
from runtime.run_sink import Progress
from runtime.sync import schema
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.mirror import Mirror, Sides
from runtime.sync.reading import Pacer
from runtime.sync.remote import Remote
from runtime.sync.schema import Schema
from runtime.sync.survey import fingerprints

log = get_logger()

_URL_SECONDS = 4 * 3600


class Delivering:
    """Brings collections to a target. `signer`: gives addresses that it can fetch snapshots from; None: copy."""

    def __init__(
        self,
        repository: Repository,
        scratch: Remote,
        target: Remote,
        ledger: Ledger,
        progress: Progress,
        *,
        backup: str,
        is_whole: bool,
        may_delete: bool,
        signer: Signer | None,
    ) -> None:
        self._repository = repository
        self._scratch = scratch
        self._target = target
        self._ledger = ledger
        self._progress = progress
        self._backup = backup
        self._is_whole = is_whole
        self._may_delete = may_delete
        self._signer = signer

    async def deliver(self, collection: str) -> Entry:
        """Bring one collection; return its entry, compared. Raises EngineError, IntegrityError."""
        wanted = await schema.read(self._scratch, collection)
        if wanted is None:
            raise IntegrityError(f"the scratch engine does not serve {collection!r}")
        there = await schema.read(self._target, collection)
        is_ours = collection in self._ledger.entries
        entry = self._ledger.entry(collection)
        if entry.is_done or (there is None and entry.stage != "new"):
            entry = self._ledger.forget(collection)
        if there is not None and there.essence() != wanted.essence():
            if is_ours and await self._target.count(collection) == 0:
                # A run that was killed made it, and not yet its indexes.
                await schema.drop(self._target, collection)
                return await self.deliver(collection)
            raise EngineError(
                f"{self._target} has {collection!r} with another configuration or other payload indexes",
                hint="Delete that collection there, if it is not needed, and run it again",
            )
        entry.essence = wanted.essence()
        if entry.stage == "new":
            await self._begin(entry, wanted, is_there=there is not None)
        await Mirror(
            Sides(self._scratch, self._target, may_delete=self._may_delete),
            entry,
            keep=self._ledger.save,
            fingerprint=lambda: self._fingerprint(collection),
            progress=self._progress,
            pacer=Pacer(most=wanted.most_points),
        ).run()
        return entry

    async def _begin(self, entry: Entry, wanted: Schema, *, is_there: bool) -> None:
        """Make the collection on the target, with its points where a snapshot can bring them."""
        # Noted first: what is half made is known as ours by the next run.
        self._ledger.save(entry)
        if is_there:
            entry.begin("compare")
        elif await self._by_snapshot(entry.collection):
            entry.by = "snapshot"
            entry.begin("compare")
        else:
            entry.by = "copy"
            entry.begin("copy")
            await schema.make(self._target, entry.collection, wanted)
        entry.reading = 0 if entry.stage == "copy" else 1
        entry.fingerprint = await self._fingerprint(entry.collection)
        self._ledger.save(entry)

    async def _by_snapshot(self, collection: str) -> bool:
        """Have the target fetch a snapshot; False when it cannot, or nobody can sign an address for it."""
        if self._signer is None:
            return False
        try:
            done = await export(self._repository, collection, self._backup, None, Progress())
            url = await self._signer.url(done.to.removeprefix(f"{self._repository}/"), seconds=_URL_SECONDS)
            await self._target.recover(collection, url, done.sha256)
        except (EngineError, StoreError) as error:
            message = f"Collection {collection} is copied point by point, the target took no snapshot: {error}"
            log.warning("sync.no_snapshot", message=message, collection=collection)
            if await schema.read(self._target, collection) is not None:
                await schema.drop(self._target, collection)
            return False
        return True

    async def _fingerprint(self, collection: str) -> str | None:
        return (await fingerprints(self._target)).get(collection) if self._is_whole else None
