"""The committed backups, for people and programs that ask for them.

Owns what is told of a backup, and which manifests count as backups. Reads only.
"""

import asyncio
from typing import Any

from runtime.errors import IntegrityError, NothingThere
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository

_READS_AT_ONCE = 16


async def listing(repository: Repository) -> list[dict[str, Any]]:
    """Return every committed backup's id, newest first, with the size of its manifest: HEAD and one listing."""
    state = await repository.head()
    if state is None:
        return []
    sizes = {info.name: info.size async for info in repository.objects(names.MANIFESTS)}
    chain = [name for name in committed(sizes, state.head) if name in sizes]
    return [
        {"id": names.manifest_id(name), "newest": name == state.head.manifest, "manifest": name, "bytes": sizes[name]}
        for name in chain
    ]


async def details(repository: Repository, limit: int | None) -> list[dict[str, Any]]:
    """Return what the newest backups hold, read side by side; one that cannot be read says so itself."""
    at_once = asyncio.Semaphore(_READS_AT_ONCE)

    async def one(entry: dict[str, Any]) -> dict[str, Any]:
        async with at_once:
            try:
                manifest = await repository.manifest(entry["manifest"])
            except IntegrityError as error:
                return {**entry, "damaged": error.message}
        return {
            **entry,
            "created_at": manifest.created_at,
            "reason": manifest.reason,
            "points": manifest.points,
            "live_bytes": manifest.live_bytes(),
            "qdrant_version": manifest.qdrant_version,
        }

    return list(await asyncio.gather(*(one(entry) for entry in (await listing(repository))[:limit])))


async def require_head(repository: Repository) -> HeadState:
    """Return HEAD of a repository that holds something. Raises NothingThere, IntegrityError (HEAD lost), StoreError."""
    state = await repository.head()
    if state is not None:
        return state
    if await repository.has_manifests():
        raise IntegrityError(
            f"{repository} holds backups but no HEAD",
            hint="`python -m runtime repair` shows what it would rebuild HEAD from",
        )
    raise NothingThere(f"{repository} holds no backup", hint="Check BACKUP_URL")


async def find(repository: Repository, identifier: str | None) -> tuple[str, Manifest]:
    """Return a committed backup by its id, or the newest. Raises NothingThere, IntegrityError, StoreError."""
    state = await require_head(repository)
    if state.head.manifest is None:
        raise NothingThere(f"{repository} holds no backup", hint="Check BACKUP_URL")
    if identifier is None or names.manifest(identifier) == state.head.manifest:
        return state.head.manifest, await repository.manifest(state.head.manifest, state.head.manifest_sha256)
    name = names.manifest(identifier)
    if names.manifest_id(name) is None or name not in committed(await repository.manifest_names(), state.head):
        raise NothingThere(f"{repository} holds no backup {identifier!r}", hint="`list` shows those there are")
    return name, await repository.manifest(name)


async def describe(repository: Repository, identifier: str | None) -> dict[str, Any]:
    """Return what one backup holds and what it stands on."""
    name, manifest = await find(repository, identifier)
    return {
        "id": names.manifest_id(name),
        "manifest": name,
        "parent": names.manifest_id(manifest.parent) if manifest.parent else None,
        "lineage": manifest.lineage,
        "created_at": manifest.created_at,
        "reason": manifest.reason,
        "qdrant_version": manifest.qdrant_version,
        "writer": manifest.writer,
        "points": manifest.points,
        "collections": {
            collection: {"points": entry.points, "shards": len(entry.shards)}
            for collection, entry in manifest.collections.items()
        },
        "aliases": dict(manifest.aliases),
        "live_bytes": manifest.live_bytes(),
        "packs": {pack: entry.bytes for pack, entry in manifest.packs.items()},
        "skipped": list(manifest.skipped),
    }
