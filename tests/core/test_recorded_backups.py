"""What a real server streamed, through packs, manifests and placement, opened by the engine's own code."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge as edge

from local.engine.vectors import vector_to_json
from runtime import restore
from runtime.composition import shard_entry
from runtime.engine import storage as layout
from runtime.repository.manifest import CollectionEntry, FileEntry, Manifest, PackEntry, ShardEntry
from runtime.repository.packs import PackSource
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from runtime.tar import TarStream
from tests.support import manifests
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.placing import ChunkedStore, tree

RECORDED = Path(__file__).parents[1] / "fixtures" / "qdrant-1.18.3"
SHARDS = ("0", "1")
STEPS = ["1-full", "2-incremental"]


async def backed_up(repository: Repository, step: str, parent: Manifest | None) -> Manifest:
    """Upload what was recorded at a step; return the manifest of it on top of the parent."""
    shards: dict[str, ShardEntry] = {}
    packs: dict[str, PackEntry] = dict(parent.packs) if parent else {}
    for shard in SHARDS:
        known = parent.collections["mixed"].shards[shard] if parent else None
        stream = TarStream(io.BytesIO((RECORDED / "streams" / f"{step}-shard{shard}.tar").read_bytes()))
        name = f"packs/2026/11/22/{step}-{shard}.tar"
        source = PackSource(name, stream, layout.placed, known.files if known else {})
        info = await repository.write_pack(name, source)
        packs[name] = PackEntry(info.size, info.crc32c, source.sha256)
        shards[shard] = shard_entry(source, known, f"shard {shard}")
    own = RECORDED / "storage" / "collections" / "mixed"
    config = {path.name: path.read_text() for path in own.iterdir() if path.is_file()}
    manifest = manifests.manifest(
        1,
        parent.seq + 1 if parent else 1,
        collections={"mixed": CollectionEntry(418, config, shards)},
        aliases=json.loads((RECORDED / "storage/aliases/data.json").read_text()),
        packs=packs,
    )
    await repository.write_manifest(manifest)
    return manifest


def recorded_points(step: str) -> dict[Any, Any]:
    """Return every point as the real server told it at a step, by id."""
    return {point["id"]: point for point in json.loads((RECORDED / "points" / f"{step}.json").read_text())}


def opened_points(storage: Path) -> dict[Any, Any]:
    """Return every point that the engine finds in the placed shards, by id."""
    found = {}
    for number in SHARDS:
        shard = edge.EdgeShard.load(str(layout.shard_dir(storage, "mixed", number)))
        records, following = shard.scroll(edge.ScrollRequest(limit=1000, with_payload=True, with_vector=True))
        assert following is None
        for record in records:
            vector = vector_to_json(record.vector)
            found[record.id] = {"id": record.id, "payload": record.payload, "vector": vector}
        shard.close()
    return found


@pytest.mark.parametrize("steps", [STEPS[:1], STEPS], ids=["full", "full and incremental"])
def test_recorded_streams_restore_every_point(steps: list[str], tmp_path: Path) -> None:
    """Ids, vectors and payloads of every point are those that the server told when it streamed."""
    storage = tmp_path / "storage"

    async def back_up_and_restore() -> Manifest:
        """Back up each step, and place the last one."""
        store = ChunkedStore(ModelBucket(), [1000, 77_777, 1])
        repository = Repository(store)
        manifest = None
        for step in steps:
            manifest = await backed_up(repository, step, manifest)
        assert manifest is not None
        read = await repository.manifest(manifests.manifest_name(1, len(steps)))
        assert read == manifest
        await restore.place(repository, read, storage, Progress())
        return read

    manifest = asyncio.run(back_up_and_restore())
    points = recorded_points(steps[-1])
    assert len(points) >= 400
    assert opened_points(storage) == points
    own = tree(layout.collection_dir(storage, "mixed"))
    for path in (RECORDED / "storage" / "collections" / "mixed").iterdir():
        if path.is_file():
            assert own[path.name] == path.read_bytes()
    assert json.loads(layout.aliases_file(storage).read_text()) == dict(manifest.aliases)


def test_an_increment_brings_a_placed_backup_up_to_date(tmp_path: Path) -> None:
    """Placed over the full backup, the incremental one fetches what changed and equals a fresh placement."""

    async def both() -> tuple[int, int]:
        """Place full then incremental in one folder, and incremental alone in another."""
        repository = Repository(ModelStore(ModelBucket()))
        full = await backed_up(repository, "1-full", None)
        newer = await backed_up(repository, "2-incremental", full)
        followed, fresh = Progress(), Progress()
        await restore.place(repository, full, tmp_path / "followed", Progress())
        await restore.place(repository, newer, tmp_path / "followed", followed, untouched=full)
        await restore.place(repository, newer, tmp_path / "fresh", fresh)
        return followed.files, fresh.files

    changed, everything = asyncio.run(both())
    assert 0 < changed < everything
    assert tree(tmp_path / "followed") == tree(tmp_path / "fresh")
    assert opened_points(tmp_path / "followed") == recorded_points("2-incremental")


def test_what_did_not_change_is_kept_where_it_is() -> None:
    """Files of the increment that equal the full backup's stay in its packs; the others are in the new ones."""

    async def both() -> tuple[Manifest, Manifest]:
        """Back up both steps."""
        repository = Repository(ModelStore(ModelBucket()))
        full = await backed_up(repository, "1-full", None)
        return full, await backed_up(repository, "2-incremental", full)

    full, newer = asyncio.run(both())
    for shard in SHARDS:
        before = full.collections["mixed"].shards[shard].files
        after = newer.collections["mixed"].shards[shard].files
        kept = {path for path, entry in after.items() if "1-full" in entry.pack}
        assert kept
        assert all(after[path] == before[path] for path in kept)
        assert all(not _same(before.get(path), entry) for path, entry in after.items() if path not in kept)


def test_the_next_increment_is_asked_for_as_the_server_understood_it() -> None:
    """The segment manifests a backup keeps are those with which a real server answered `304, unchanged`."""

    async def both() -> list[Manifest]:
        """Back up both steps."""
        repository = Repository(ModelStore(ModelBucket()))
        full = await backed_up(repository, "1-full", None)
        return [full, await backed_up(repository, "2-incremental", full)]

    for manifest, answered in zip(asyncio.run(both()), ["1-unchanged", "3-after-optimizer"], strict=True):
        for shard in SHARDS:
            asked = json.loads((RECORDED / "streams" / f"{answered}-shard{shard}.request.json").read_text())
            assert manifest.collections["mixed"].shards[shard].segment_manifests == asked
            answer = json.loads((RECORDED / "streams" / f"{answered}-shard{shard}.json").read_text())
            assert answer["status"] == 304


def _same(before: FileEntry | None, after: FileEntry) -> bool:
    """Tell whether the parent has the same content."""
    return before is not None and before.same_content(after)
