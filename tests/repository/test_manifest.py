import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.repository.manifest import CollectionEntry, FileEntry, Manifest, PackEntry, ShardEntry
from tests.support import manifests

FILE = FileEntry("packs/p.tar", 512, 100, ((10, 20), (40, 30)), "0" * 64)
PACK = PackEntry(1000, "AAAAAA==", "1" * 64)


def holding(path: str = "wal/x", entry: FileEntry = FILE, **changes: Any) -> Manifest:
    """Return a manifest of one file."""
    shard = ShardEntry({"s": {"segment_id": "s"}}, {path: entry})
    collection = CollectionEntry(3, {"config.json": "{}"}, {"0": shard})
    plain = manifests.manifest(
        collections={"things": collection}, aliases={"now": "things"}, packs={"packs/p.tar": PACK}
    )
    return replace(plain, **changes)


def refused(data: bytes) -> None:
    """Fail unless the bytes are refused as damaged."""
    with pytest.raises(IntegrityError):
        Manifest.decode(data)


@given(manifest=manifests.manifests())
def test_any_manifest_reads_back(manifest: Manifest) -> None:
    """What is written is read, hash and all, and writes the same bytes again."""
    data = manifest.encode()
    read = Manifest.decode(data, sha256=hashlib.sha256(data).hexdigest())
    assert read == manifest
    assert read.encode() == data


@given(manifest=manifests.manifests(), data=st.data())
def test_a_manifest_with_something_wrong_is_refused_or_still_one(manifest: Manifest, data: st.DataObject) -> None:
    """One field changed, renamed, added or left out: an IntegrityError, or a manifest that is whole in itself."""
    changed = data.draw(manifests.damaged(manifest.encode()))
    try:
        read = Manifest.decode(changed)
    except IntegrityError:
        return
    assert Manifest.decode(read.encode()) == read


@given(manifest=manifests.manifests(), data=st.data())
def test_a_manifest_of_another_hash_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    """Against the hash that HEAD names, any changed byte and any cut is an IntegrityError."""
    encoded = manifest.encode()
    position = data.draw(st.integers(0, len(encoded) - 1))
    flipped = (
        encoded[:position] + bytes([encoded[position] ^ 1 << data.draw(st.integers(0, 7))]) + encoded[position + 1 :]
    )
    for wrong in (flipped, encoded[:position], encoded + b"\n"):
        with pytest.raises(IntegrityError):
            Manifest.decode(wrong, sha256=hashlib.sha256(encoded).hexdigest())


def test_a_manifest_cut_anywhere_is_refused() -> None:
    """Every proper prefix is an IntegrityError, also where no hash is known."""
    data = holding().encode()
    for length in range(len(data)):
        refused(data[:length])


@given(data=st.binary(max_size=300))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    """Arbitrary bytes are an IntegrityError."""
    refused(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'""',
        b"{}",
        b'{"format": 1}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff",
        b"1" * 9000,
    ],
    ids=range(11),
)
def test_json_of_another_form_is_refused(data: bytes) -> None:
    """Nothing, a list, a number, a nest deeper than the stack: an IntegrityError each."""
    refused(data)


def test_a_format_of_the_future_is_refused_with_what_to_do() -> None:
    """A manifest of another format names the newer image, and is not read half."""
    fields = json.loads(holding().encode()) | {"format": 2}
    with pytest.raises(IntegrityError, match="newer image"):
        Manifest.decode(json.dumps(fields).encode())


def test_a_journal_is_not_passed_over() -> None:
    """Writes that only a journal holds are not lost by a version that knows none: it refuses."""
    refused(json.dumps(json.loads(holding().encode()) | {"journal": {"from": 1}}).encode())


HOSTILE_PATHS = [
    "", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\0b", "x" * 256,
    "y/" * 2000 + "y", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=range(len(HOSTILE_PATHS)))
def test_a_path_outside_its_shard_is_refused(path: str) -> None:
    """A path that leads outside, has a second spelling or fits no file system is an IntegrityError."""
    refused(holding(path).encode())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "\ud800", "x" * 256])
def test_a_name_that_is_no_file_s_name_is_refused(name: str) -> None:
    """Collections, their own files and their shards are single names."""
    collection = CollectionEntry(0, {}, {})
    for entries in (
        {name: collection},
        {"things": replace(collection, config={name: "x"})},
        {"things": replace(collection, shards={name: ShardEntry({}, {})})},
    ):
        refused(manifests.manifest(collections=entries).encode())


def test_a_name_is_for_one_thing() -> None:
    """A file where another file needs a directory, and a shard named as a file beside it, are refused."""
    refused(holding(collections=_shard_of({"a": FILE, "a/b": FILE})).encode())
    both = CollectionEntry(0, {"0": "text"}, {"0": ShardEntry({}, {})})
    refused(manifests.manifest(collections={"things": both}).encode())


@pytest.mark.parametrize("pack", ["", "../p", "/p", "p\n", "p" * 1100, "\ud800"], ids=range(6))
def test_a_pack_that_no_store_can_hold_is_refused(pack: str) -> None:
    """A pack's name is an object's name."""
    refused(holding(entry=replace(FILE, pack=pack), packs={pack: PACK}).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pack": "packs/other.tar"},
        {"offset": -1},
        {"offset": 951},
        {"offset": 2**70},
        {"size": 69},
        {"size": -1},
        {"size": 1000},
        {"size": 2**41, "holes": ((0, 2**41),)},
        {"size": 2**70, "holes": ((0, 2**70),)},
        {"holes": ((10, 20), (29, 1))},
        {"holes": ((40, 30), (10, 20))},
        {"holes": ((-5, 10),)},
        {"holes": ((10, 0),)},
        {"holes": ((10, -5),)},
        {"holes": ((90, 20),)},
        {"sha256": "0" * 63},
        {"sha256": "0" * 65},
        {"sha256": "G" * 64},
        {"sha256": "0" * 64 + "\n"},
    ],
    ids=str,
)
def test_an_entry_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    """Sizes that lie, holes that overlap or leave the file, ranges outside the pack."""
    refused(holding(entry=replace(FILE, **wrong)).encode())


def test_what_a_manifest_needs_is_counted() -> None:
    """Live bytes are the stored ones, points those that were counted."""
    assert holding().live_bytes() == 50
    assert holding().points == 3
    assert manifests.manifest(collections={"a": CollectionEntry(None, {}, {})}).points == 0


def test_equal_content_is_equal_wherever_it_lies() -> None:
    """Two entries hold the same when hash, size and holes agree."""
    assert FILE.same_content(replace(FILE, pack="packs/q.tar", offset=0))
    assert not FILE.same_content(replace(FILE, holes=((10, 20), (41, 30))))


def _shard_of(files: dict[str, FileEntry]) -> dict[str, CollectionEntry]:
    """Return a collection of one shard."""
    return {"things": CollectionEntry(0, {}, {"0": ShardEntry({}, files)})}
