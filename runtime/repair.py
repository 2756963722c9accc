"""Rebuilding HEAD, when it is lost or damaged, from the manifests that are there.

Owns which manifest it will name. Says what it would do before it does it, and refuses to touch a HEAD that is fine.

What HEAD knew and the names do not say: whether the newest manifest was ever committed. A writer puts the manifest
into the bucket first and changes HEAD then, so one that died in between leaves a manifest that nobody committed. Such
a manifest is a whole backup all the same: everything in it had been acknowledged, and its parent was the newest
backup. So of the highest epoch the highest number is taken (writers of lower epochs lost the lineage before they could
commit more), and if that is not intact, the next one down.
"""

import hashlib
import uuid
from dataclasses import dataclass

from runtime.errors import IntegrityError, NothingThere, ObjectMissing, RuntimeFailure
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.intact import damaged_packs
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository, Superseded
from runtime.repository.store import ObjectInfo


@dataclass(frozen=True, slots=True)
class Candidate:
    """A manifest that was looked at, newest first; `problem` says why it is not taken, if it is not."""

    name: str
    problem: str | None
    manifest: Manifest | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """What is wrong with HEAD, what was looked at, and the HEAD that would be written over `generation`."""

    wrong: str
    looked_at: tuple[Candidate, ...]
    head: Head
    generation: int

    @property
    def chosen(self) -> Candidate:
        """The manifest that HEAD will name."""
        return self.looked_at[-1]


async def plan(repository: Repository) -> Repair:
    """Find out what is wrong and what HEAD should be.

    Raises NothingThere (HEAD is fine, or there is no manifest to rebuild it from), IntegrityError (none is intact),
    StoreError.
    """
    wrong, generation = await _what_is_wrong(repository)
    candidates = (await repository.manifest_names())[::-1]  # by epoch and number, highest first
    if not candidates:
        raise NothingThere(
            f"{wrong}, and {repository} holds no manifest",
            hint="Check BACKUP_URL; soft delete or object versioning may still hold them",
        )
    packs = {info.name: info async for info in repository.objects(names.PACKS)}
    looked_at: list[Candidate] = []
    for name in candidates:
        looked_at.append(await _look(repository, name, packs))
        chosen = looked_at[-1]
        if chosen.manifest is not None and chosen.sha256 is not None and chosen.problem is None:
            head = Head(
                lineage=chosen.manifest.lineage,
                # Above every epoch that left a trace, so that whoever still thinks it writes finds out it does not.
                epoch=max(_highest_epoch(candidates, packs), await _highest_journal_epoch(repository)) + 1,
                holder=f"repair-{uuid.uuid4().hex[:12]}",
                seq=chosen.manifest.seq,
                manifest=name,
                manifest_sha256=chosen.sha256,
                clean=True,
                requested_by=None,
            )
            return Repair(wrong, tuple(looked_at), head, generation)
    raise IntegrityError(
        f"{wrong}, and none of the {len(candidates)} backups is intact: "
        + "; ".join(f"{candidate.name}: {candidate.problem}" for candidate in looked_at[:5]),
        hint="Soft delete or object versioning may still hold the right bytes",
    )


async def carry_out(repository: Repository, repair: Repair) -> HeadState:
    """Write the HEAD that was planned. Raises RuntimeFailure when HEAD has changed since, StoreError."""
    try:
        return await repository.swap_head(repair.head, repair.generation)
    except Superseded as error:
        raise RuntimeFailure("HEAD was changed meanwhile", hint="Look again: `python -m runtime repair`") from error


async def _what_is_wrong(repository: Repository) -> tuple[str, int]:
    """Return what is wrong with HEAD, and the generation to replace. Raises NothingThere when nothing is."""
    try:
        state = await repository.head()
    except IntegrityError as error:
        try:
            info = await repository.store.stat(names.HEAD)
        except ObjectMissing:
            return "HEAD is missing", 0
        return error.message, info.generation
    if state is None:
        return "HEAD is missing", 0
    newest = f"names {names.manifest_id(state.head.manifest)}" if state.head.manifest else "has no backup yet"
    raise NothingThere(
        f"HEAD is fine: epoch {state.head.epoch}, {newest}",
        hint="`verify` looks at that backup; a start takes an older one by itself when it is damaged",
    )


async def _look(repository: Repository, name: str, packs: dict[str, ObjectInfo]) -> Candidate:
    try:
        data, _ = await repository.store.read(name)
        manifest = Manifest.decode(data)
    except (IntegrityError, ObjectMissing) as error:
        return Candidate(name, error.message)
    if names.manifest(names.backup_id(manifest.epoch, manifest.seq)) != name:
        return Candidate(name, "holds the manifest of another backup")
    damage = damaged_packs(manifest, packs)
    problem = f"{damage[0].what} {damage[0].problem}" if damage else None
    return Candidate(name, problem, manifest, hashlib.sha256(data).hexdigest())


def _highest_epoch(manifests: list[str], packs: dict[str, ObjectInfo]) -> int:
    epochs = [names.order(identifier)[0] for name in manifests if (identifier := names.manifest_id(name))]
    epochs += [position[0] for name in packs if (position := names.pack_position(name))]
    return max(epochs)


async def _highest_journal_epoch(repository: Repository) -> int:
    """Return the highest epoch that has a journal, 0 for none: what it holds is done again at the next start."""
    epochs = [
        position[0]
        async for info in repository.objects(names.JOURNAL)
        if (position := names.journal_position(info.name))
    ]
    return max(epochs, default=0)
