"""What the bucket says happened: every committed backup, and whether they follow on one another.

Reads the repository as the program does; owns the check of a linear history.
"""

import asyncio
import itertools
from collections.abc import Mapping

from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.manifest import Manifest
from runtime.repository.open import open_store
from runtime.repository.repository import Repository


async def _read(settings: Mapping[str, str]) -> tuple[Head | None, list[Manifest], list[str]]:
    """Return HEAD, the committed manifests and their names, newest first."""
    store = open_store(settings["BACKUP_URL"], emulator_host=settings.get("STORAGE_EMULATOR_HOST"), project="tests")
    try:
        repository = Repository(store)
        state = await repository.head()
        if state is None:
            return None, [], []
        names = committed(await repository.manifest_names(), state.head)
        return state.head, [await repository.manifest(name) for name in names], names
    finally:
        await store.close()


def head(settings: Mapping[str, str]) -> Head:
    """Return HEAD, which must be there; whether what it names can be read is not asked."""

    async def read() -> Head:
        """Read it alone."""
        store = open_store(settings["BACKUP_URL"], emulator_host=settings.get("STORAGE_EMULATOR_HOST"), project="tests")
        try:
            state = await Repository(store).head()
        finally:
            await store.close()
        assert state is not None, "there is no HEAD"
        return state.head

    return asyncio.run(read())


def replace_head(settings: Mapping[str, str], changed: Head) -> None:
    """Put another HEAD there."""

    async def swap() -> None:
        """Put it there, if nobody else changes it meanwhile."""
        store = open_store(settings["BACKUP_URL"], emulator_host=None, project="tests")
        try:
            repository = Repository(store)
            state = await repository.head()
            await repository.swap_head(changed, state.generation if state else 0)
        finally:
            await store.close()

    asyncio.run(swap())


def linear_history(settings: Mapping[str, str]) -> list[Manifest]:
    """Return the committed backups, newest first, after checking that each stands on the one before it."""
    current, manifests, names = asyncio.run(_read(settings))
    assert current is not None, "there is no HEAD"
    assert [manifest.seq for manifest in manifests] == list(range(current.seq, current.seq - len(manifests), -1))
    assert all(manifest.lineage == current.lineage for manifest in manifests)
    for (newer, older), older_name in zip(itertools.pairwise(manifests), names[1:], strict=False):
        assert newer.epoch >= older.epoch, f"epochs go back: {newer.epoch} after {older.epoch}"
        assert newer.parent == older_name, f"{newer.seq} stands on {newer.parent}, not on {older_name}"
    return manifests
