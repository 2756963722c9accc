"""The commit of a pull, while instances need the lineage themselves."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import NotTheWriter, RuntimeFailure
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.directory import DirectoryStore
from runtime.repository.intact import damaged_packs, packs_there
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.repository.store import ObjectInfo
from runtime.scratch import running
from runtime.settings import Settings
from runtime.sync import meetings
from runtime.sync.committing import Commit, Content
from runtime.sync.meetings import Meeting, Same
from runtime.sync.plan import Held
from tests.support.lineages import ask, environment

REMOTE = "http://there"


class Contested(DirectoryStore):
    """A store in which somebody else claims the lineage, so many times, just before a manifest is written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self.claims = 0
        self.is_committed_to = False
        self.loses_packs = False

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Claim, then write."""
        if names.manifest_id(name) and self.claims:
            self.claims -= 1
            await self._claim(Manifest.decode(data))
        return await super().write_new(name, data)

    async def _claim(self, manifest: Manifest) -> None:
        """Take the lineage, and let it go again; with a backup where that is wanted."""
        other = Lineage(Repository(self), "other", timeout_seconds=1.0, outage="refuse", clock=time.monotonic)
        state = await other.look()
        assert state is not None
        await other.claim(state)
        if self.is_committed_to:
            position = other.position("test")
            await other.commit(replace(manifest, epoch=position.epoch, seq=position.seq), clean=True)
        else:
            await other.release()
        if self.loses_packs:
            for pack in manifest.packs:
                (self._folder / pack).unlink()


class Stage:
    """A scratch engine with a collection, and what is to be committed of it."""

    def __init__(self, store: Contested, commit: Commit, announced: list[str]) -> None:
        self.store = store
        self.repository = Repository(store)
        self.announced = announced
        self._commit = commit

    async def run(self) -> str:
        """Commit."""
        return await self._commit.run(Content({"plain": 5}, frozenset(), {}))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Set it up on an empty bucket."""
    (folder / "bucket").mkdir()
    store = Contested(folder / "bucket")
    settings = Settings.from_env(environment(f"file://{folder}/bucket", folder / "storage"))
    repository, announced = Repository(store), list[str]()

    async def announce(backup: str) -> None:
        """Keep the note, as a pull does."""
        announced.append(backup)
        same = {"plain": Same(5, f"print of {backup}", None, "", "copy")}
        await meetings.keep(repository, Meeting(REMOTE, backup, "pull", same, {}))

    async with running(settings) as engine:
        url = f"http://127.0.0.1:{engine.admin.port}/collections/plain"
        await asyncio.to_thread(ask, "PUT", url, {"vectors": {"size": 2, "distance": "Dot"}})
        points = {"points": [{"id": n, "vector": [n, 1]} for n in range(5)]}
        await asyncio.to_thread(ask, "PUT", f"{url}/points?wait=true", points)
        yield Stage(store, Commit(repository, settings, engine, Held(), announce), announced)
    await store.close()


def test_a_lineage_that_was_claimed_meanwhile_is_claimed_again(tmp_path: Path) -> None:
    """Twice in vain, then committed with the packs of the first time; the notes of the vain ones count for nothing."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged:
            staged.store.claims = 2
            backup = await staged.run()
            state = await staged.repository.head()
            assert state is not None
            assert state.head.manifest == names.manifest(backup)
            assert state.head.clean
            manifest = await staged.repository.manifest(names.manifest(backup), state.head.manifest_sha256)
            assert (manifest.epoch, manifest.seq, manifest.points) == (5, 1, 5)
            there = [info.name async for info in staged.repository.objects(names.PACKS)]
            assert sorted(there) == sorted(manifest.packs)
            assert damaged_packs(manifest, await packs_there(staged.repository, manifest)) == ()
            assert len(staged.announced) == 3
            met = await meetings.last(staged.repository, state, REMOTE)
            assert met is not None
            assert met.collections["plain"].fingerprint == f"print of {backup}"

    asyncio.run(story())


def test_a_pack_that_is_gone_when_it_is_claimed_again_is_noticed(tmp_path: Path) -> None:
    """Deleted between two attempts, nothing is committed that names it."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged:
            staged.store.claims, staged.store.loses_packs = 1, True
            with pytest.raises(RuntimeFailure, match="is missing meanwhile"):
                await staged.run()
            state = await staged.repository.head()
            assert state is not None
            assert state.head.manifest is None

    asyncio.run(story())


def test_a_lineage_that_is_claimed_each_time_is_left_to_others(tmp_path: Path) -> None:
    """After three times: not the writer, and nothing of it is committed or met."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged:
            staged.store.claims = 100
            with pytest.raises(NotTheWriter):
                await staged.run()
            state = await staged.repository.head()
            assert state is not None
            assert (state.head.holder, state.head.manifest) == ("other", None)
            assert staged.store.claims == 97
            assert await meetings.last(staged.repository, state, REMOTE) is None

    asyncio.run(story())


def test_what_another_committed_meanwhile_stays_the_newest(tmp_path: Path) -> None:
    """It is not built upon, since nobody planned with it: refused, and HEAD is the other's, let go."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged:
            staged.store.claims, staged.store.is_committed_to = 1, True
            with pytest.raises(RuntimeFailure, match="was committed meanwhile"):
                await staged.run()
            state = await staged.repository.head()
            assert state is not None
            assert state.head.manifest == names.manifest(names.backup_id(2, 1))
            assert state.head.clean

    asyncio.run(story())
