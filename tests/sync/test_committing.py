"""The commit of a pull, while instances need the lineage themselves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.engine.process import Engine
from runtime.errors import NotTheWriter, RuntimeFailure
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.directory import DirectoryStore
from runtime.repository.intact import damaged_packs, packs_there
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository, Superseded
from runtime.repository.store import ByteSource, ObjectInfo, Store
from runtime.scratch import running
from runtime.settings import Settings
from runtime.sync import meetings
from runtime.sync.committing import Commit, Content
from runtime.sync.meetings import Meeting, Same
from runtime.sync.plan import Held
from tests.support.lineages import ask, environment

REMOTE = "http://there"
_MOST_TRIES = 20


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
        for _ in range(_MOST_TRIES):  # the one that commits says now and then in HEAD that it lives
            state = await other.look()
            assert state is not None
            with contextlib.suppress(Superseded):
                await other.claim(state)
                break
        else:
            raise AssertionError("HEAD never stood still")
        if self.is_committed_to:
            position = other.position("test")
            await other.commit(replace(manifest, epoch=position.epoch, seq=position.seq), clean=True)
        else:
            await other.release()
        if self.loses_packs:
            for pack in manifest.packs:
                (self._folder / pack).unlink()


@asynccontextmanager
async def contested(folder: Path) -> AsyncIterator[Contested]:
    """Open such a store."""
    store = Contested(folder)
    try:
        yield store
    finally:
        await store.close()


class Killed(BaseException):
    """The process ended here."""


class Mortal(DirectoryStore):
    """A store whose process ends once it has changed so many things."""

    def __init__(self, folder: Path, changes: int) -> None:
        super().__init__(folder)
        self._left = changes

    def _change(self) -> None:
        """Count a change, or end."""
        if self._left == 0:
            raise Killed
        self._left -= 1

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Write, if alive."""
        self._change()
        return await super().write_new(name, data)

    async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Swap, if alive."""
        self._change()
        return await super().swap(name, data, generation)

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Upload, if alive."""
        self._change()
        return await super().upload(name, source)


class Stage:
    """A scratch engine with a collection of five points, to be committed to any bucket."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.announced: list[str] = []
        self._settings = settings
        self._engine = engine

    async def commit(self, store: Store) -> str:
        """Commit on an empty lineage."""

        async def announce(backup: str) -> None:
            """Keep the note, as a pull does."""
            self.announced.append(backup)
            same = {"plain": Same(5, f"print of {backup}", None, "", "copy")}
            await meetings.keep(repository, Meeting(REMOTE, backup, "pull", same, {}))

        repository = Repository(store)
        commit = Commit(repository, self._settings, self._engine, Held(), announce)
        return await commit.run(Content({"plain": 5}, frozenset(), {}))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Set it up, with a bucket in the folder that is empty."""
    (folder / "bucket").mkdir()
    settings = Settings.from_env(environment(f"file://{folder}/bucket", folder / "storage"))
    async with running(settings) as engine:
        url = f"http://127.0.0.1:{engine.admin.port}/collections/plain"
        await asyncio.to_thread(ask, "PUT", url, {"vectors": {"size": 2, "distance": "Dot"}})
        points = {"points": [{"id": n, "vector": [n, 1]} for n in range(5)]}
        await asyncio.to_thread(ask, "PUT", f"{url}/points?wait=true", points)
        yield Stage(settings, engine)


async def state_of(store: Store) -> HeadState:
    """Return HEAD as it is."""
    state = await Repository(store).head()
    assert state is not None
    return state


async def assert_whole(store: Store) -> str:
    """Check that the newest backup is whole, let go of, and what the last note tells; return its id."""
    repository, state = Repository(store), await state_of(store)
    assert state.head.manifest is not None
    manifest = await repository.manifest(state.head.manifest, state.head.manifest_sha256)
    assert (manifest.seq, manifest.points, state.head.clean) == (1, 5, True)
    assert damaged_packs(manifest, await packs_there(repository, manifest)) == ()
    backup = names.backup_id(manifest.epoch, manifest.seq)
    met = await meetings.last(repository, state, REMOTE)
    assert met is not None
    assert met.collections["plain"].fingerprint == f"print of {backup}"
    return backup


def test_a_lineage_that_was_claimed_meanwhile_is_claimed_again(tmp_path: Path) -> None:
    """Twice in vain, then committed with the packs of the first time; the notes of the vain ones count for nothing."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged, contested(tmp_path / "bucket") as store:
            store.claims = 2
            backup = await staged.commit(store)
            assert await assert_whole(store) == backup == names.backup_id(5, 1)
            packs = [info.name async for info in store.list(names.PACKS)]
            assert {pack.split("/")[-1][:8] for pack in packs} == {"00000001"}
            assert len(staged.announced) == 3

    asyncio.run(story())


def test_a_pack_that_is_gone_when_it_is_claimed_again_is_noticed(tmp_path: Path) -> None:
    """Deleted between two attempts, nothing is committed that names it."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged, contested(tmp_path / "bucket") as store:
            store.claims, store.loses_packs = 1, True
            with pytest.raises(RuntimeFailure, match="is missing meanwhile"):
                await staged.commit(store)
            assert (await state_of(store)).head.manifest is None

    asyncio.run(story())


def test_a_lineage_that_is_claimed_each_time_is_left_to_others(tmp_path: Path) -> None:
    """After three times: not the writer, and nothing of it is committed or met."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged, contested(tmp_path / "bucket") as store:
            store.claims = 100
            with pytest.raises(NotTheWriter):
                await staged.commit(store)
            state = await state_of(store)
            assert (state.head.holder, state.head.manifest, store.claims) == ("other", None, 97)
            assert await meetings.last(Repository(store), state, REMOTE) is None

    asyncio.run(story())


def test_what_another_committed_meanwhile_stays_the_newest(tmp_path: Path) -> None:
    """It is not built upon, since nobody planned with it: refused, and HEAD is the other's, let go."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged, contested(tmp_path / "bucket") as store:
            store.claims, store.is_committed_to = 1, True
            with pytest.raises(RuntimeFailure, match="was committed meanwhile"):
                await staged.commit(store)
            state = await state_of(store)
            assert (state.head.manifest, state.head.clean) == (names.manifest(names.backup_id(2, 1)), True)

    asyncio.run(story())


def test_a_commit_that_is_killed_at_any_change_is_made_by_the_next_run(tmp_path: Path) -> None:
    """Dead after each of its changes of the bucket: the next one commits the same, unless that was the last one."""

    async def story() -> None:
        """Tell it."""
        async with stage(tmp_path) as staged:
            for changes in range(30):
                folder = tmp_path / f"bucket-{changes}"
                folder.mkdir()
                try:
                    await staged.commit(Mortal(folder, changes))
                    break
                except Killed:
                    pass
                store = DirectoryStore(folder)
                found = await Repository(store).head()
                if found is None or found.head.manifest is None:
                    await staged.commit(store)
                await assert_whole(store)
            assert 4 < changes < 20

    asyncio.run(story())
