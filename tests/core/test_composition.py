import datetime as dt
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from runtime.composition import Base, Capture, Instant, Position, compose, differs, known_shard, shard_entry
from runtime.edge.gate import Written
from runtime.engine import storage as layout
from runtime.errors import IntegrityError
from runtime.repository.manifest import CollectionEntry, FileEntry, Manifest, PackEntry, ShardEntry
from runtime.repository.packs import PackSource
from runtime.tar import TarStream
from tests.support import manifests, tars

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
WRITTEN = Written(0, 0, 0, {}, {})
POSITION = Position(manifests.LINEAGE, 2, 8, "writer", "change")


def entry(pack: str = "packs/0.tar", size: int = 10) -> FileEntry:
    """Return a file in an earlier pack."""
    return FileEntry(pack, 0, size, (), "0" * 64)


def segment(identifier: str, *files: str) -> bytes:
    """Return a segment's manifest."""
    return json.dumps(
        {"segment_id": identifier, "segment_version": 1, "file_versions": dict.fromkeys(files, 1)}
    ).encode()


def streamed(*members: tuple[str, bytes]) -> PackSource:
    """Return a shard's stream, read to its end."""
    stream = tars.archive(*(tars.plain(name, data) for name, data in members))
    source = PackSource("packs/1.tar", TarStream(io.BytesIO(stream)), layout.placed, {})
    while source.read(1 << 20):
        pass
    return source


def test_a_shard_is_what_came_and_what_its_segments_still_name() -> None:
    """New files come from the stream, unchanged ones from the parent, and those no segment names are gone."""
    source = streamed(
        ("segments/s/files/segment_manifest.json", segment("s", "new", "old")),
        ("segments/s/files/new", b"1"),
        ("segments/s/files/unversioned", b"2"),
        ("wal/x", b"3"),
    )
    known = ShardEntry(
        {"s": {}, "t": {}},
        {"segments/s/old": entry(), "segments/s/new": entry(), "segments/s/dropped": entry(), "segments/t/x": entry()},
    )
    found = shard_entry(source, known, "shard 0")
    assert found.segment_manifests == {"s": json.loads(segment("s", "new", "old"))}
    assert set(found.files) == {"segments/s/new", "segments/s/old", "segments/s/unversioned", "wal/x"}
    assert found.files["segments/s/old"] == entry()
    assert found.files["segments/s/new"].pack == "packs/1.tar"


@pytest.mark.parametrize("known", [None, ShardEntry({}, {}), ShardEntry({}, {"segments/t/old": entry()})])
def test_a_file_that_is_nowhere_is_an_integrity_error(known: ShardEntry | None) -> None:
    """A segment that names a file which neither came nor is in the parent makes no backup."""
    source = streamed(("segments/s/files/segment_manifest.json", segment("s", "old")))
    with pytest.raises(IntegrityError, match="segments/s/old"):
        shard_entry(source, known, "shard 0")


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"no JSON",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"segment_id": "s"}',
        b'{"file_versions": {}}',
        b'{"segment_id": 5, "file_versions": {}}',
        b'{"segment_id": "s", "file_versions": []}',
    ],
)
def test_a_segment_s_manifest_of_another_form_is_an_integrity_error(note: bytes) -> None:
    """What an engine of another version might stream is refused, whatever it is."""
    with pytest.raises(IntegrityError):
        shard_entry(streamed(("segments/s/files/segment_manifest.json", note)), None, "shard 0")


@pytest.mark.parametrize("path", ["segments/s/x", "segments/s/deep/x", "segments", "segments/s", "segments/s/files"])
def test_a_stream_of_another_layout_is_refused(path: str) -> None:
    """A segment's file without the `files` level would be placed where the engine deletes the segment."""
    with pytest.raises(IntegrityError, match="layout"):
        streamed((path, b"x"))


def instant(collections: list[str], captures: dict[str, Capture]) -> Instant:
    """Return what a barrier found."""
    return Instant(AT, WRITTEN, collections, {"now": "a"}, captures, None, 0.01)


def composed(base: Base, found: Instant, shards: dict[str, dict[str, ShardEntry]], **packs: PackEntry) -> Manifest:
    """Return the manifest of what a barrier found."""
    return compose(base, POSITION, found, shards, packs, "1.19.0")


def collection(*files: FileEntry, **changes: Any) -> CollectionEntry:
    """Return a collection of one shard with these files."""
    shard = ShardEntry({}, {f"f{number}": file for number, file in enumerate(files)})
    return replace(CollectionEntry(1, {"config.json": "{}"}, {"0": shard}), **changes)


PACK = PackEntry(100, "", "")


def test_what_was_not_looked_at_stays_as_the_parent_has_it() -> None:
    """Looked-at collections are as found, others the parent's, deleted ones gone, and packs those still needed."""
    parent = manifests.manifest(
        1,
        7,
        collections={"a": collection(entry("p0")), "b": collection(entry("p1")), "gone": collection(entry("p2"))},
        packs={"p0": PACK, "p1": PACK, "p2": PACK},
    )
    captures = {"a": Capture({"config.json": "new"}, 5)}
    shard = ShardEntry({"s": {}}, {"x": entry("p3")})
    made = composed(Base(parent, "the parent", WRITTEN), instant(["a", "b"], captures), {"a": {"0": shard}}, p3=PACK)
    assert made.collections == {
        "a": CollectionEntry(5, {"config.json": "new"}, {"0": shard}),
        "b": parent.collections["b"],
    }
    assert set(made.packs) == {"p1", "p3"}
    assert (made.epoch, made.seq, made.parent, made.writer) == (2, 8, "the parent", "writer")
    assert made.aliases == {"now": "a"}
    assert made.created_at == "2026-11-22T00:00:00.000+00:00"
    assert differs(made, parent)


def test_a_first_backup_has_no_parent() -> None:
    """Without a newest manifest all is as found."""
    made = composed(Base(None, None, WRITTEN), instant(["a"], {"a": Capture({}, None)}), {"a": {}})
    assert (made.parent, made.collections) == (None, {"a": CollectionEntry(None, {}, {})})
    assert differs(made, None)


def test_a_backup_that_says_nothing_new_is_none() -> None:
    """Equal collections and aliases make no commit; a changed alias, count or config does."""
    parent = manifests.manifest(collections={"a": collection(entry("p0"))}, aliases={"now": "a"}, packs={"p0": PACK})
    same = replace(parent, seq=2, created_at="2026-11-22T11:00:00+00:00")
    assert not differs(same, parent)
    assert differs(replace(same, aliases={}), parent)
    assert differs(replace(same, collections={"a": collection(entry("p0"), points=2)}), parent)
    assert differs(replace(same, collections={}), parent)
    assert not differs(manifests.manifest(), None)


def test_what_is_known_of_a_shard() -> None:
    """A shard is known when the manifest has its collection and its id."""
    held = collection(entry("p0"))
    manifest = manifests.manifest(collections={"a": held})
    assert known_shard(manifest, "a", "0") == held.shards["0"]
    assert known_shard(manifest, "a", "1") is None
    assert known_shard(manifest, "b", "0") is None
    assert known_shard(None, "a", "0") is None
