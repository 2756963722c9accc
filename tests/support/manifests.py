"""Manifests and heads: simple ones made by hand, any drawn, and JSON with something wrong in it."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from runtime.repository import names
from runtime.repository.head import Head, Request
from runtime.repository.manifest import CollectionEntry, FileEntry, Manifest, PackEntry, ShardEntry
from tests.support import tars

LINEAGE = "a" * 32


def manifest(epoch: int = 1, seq: int = 1, **changes: Any) -> Manifest:
    """Return a manifest of nothing, with these changes."""
    plain = Manifest(
        lineage=LINEAGE,
        epoch=epoch,
        seq=seq,
        parent=None,
        created_at="2026-11-22T10:00:00.000+00:00",
        reason="change",
        qdrant_version="1.19.0",
        writer="writer",
        collections={},
        aliases={},
        packs={},
    )
    return replace(plain, **changes)


def manifest_name(epoch: int, seq: int) -> str:
    """Return the object name of a manifest."""
    return names.manifest(names.backup_id(epoch, seq))


def head(epoch: int = 1, seq: int = 0, **changes: Any) -> Head:
    """Return the head of a lineage without a backup, with these changes."""
    return replace(Head(LINEAGE, epoch, "writer", seq, None, None, clean=False, requested_by=None), **changes)


def head_of(newest: Manifest, **changes: Any) -> Head:
    """Return the head that a commit of this manifest leaves."""
    sha256 = hashlib.sha256(newest.encode()).hexdigest()
    name = manifest_name(newest.epoch, newest.seq)
    return head(newest.epoch, newest.seq, manifest=name, manifest_sha256=sha256, **changes)


def of_files(pack: str, files: Mapping[str, FileEntry], data: bytes) -> Manifest:
    """Return a manifest of one shard whose files are in one pack."""
    shard = ShardEntry({}, files)
    collections = {"things": CollectionEntry(None, {"config.json": "{}"}, {"0": shard})}
    return manifest(collections=collections, packs={pack: pack_entry(data)})


def pack_entry(data: bytes) -> PackEntry:
    """Return the entry of a pack's bytes."""
    return PackEntry(len(data), "AAAAAA==", hashlib.sha256(data).hexdigest())


_SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_NAMES = tars.PATHS.map(lambda path: path.split("/")[0])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draw a manifest that can be restored, with everything in it that a manifest may hold."""
    packs = draw(
        st.dictionaries(
            _NAMES.map(lambda name: f"packs/2026/11/22/{name}.tar"),
            st.builds(
                PackEntry,
                bytes=st.integers(0, 2**41),
                crc32c=st.binary(min_size=4, max_size=4).map(lambda raw: base64.b64encode(raw).decode()),
                sha256=_SHA256,
            ),
            max_size=3,
        )
    )

    def entry(content: tars.Content) -> FileEntry:
        """Put a file somewhere in a pack that is long enough."""
        pack = draw(st.sampled_from(sorted(packs)))
        if packs[pack].bytes < len(content.stored):
            packs[pack] = replace(packs[pack], bytes=len(content.stored) + 1024)
        offset = draw(st.integers(0, packs[pack].bytes - len(content.stored)))
        return FileEntry(pack, offset, content.size, content.holes, content.sha256)

    def shard() -> ShardEntry:
        """Draw a shard."""
        files = draw(tars.trees(max_size=3)) if packs else {}
        segments = draw(st.dictionaries(_TEXT, _JSON, max_size=2))
        return ShardEntry(segments, {path: entry(content) for path, content in files.items()})

    def collection() -> CollectionEntry:
        """Draw a collection."""
        points = draw(st.none() | st.integers(0, 2**40))
        config = draw(st.dictionaries(_NAMES.map(lambda name: f"{name[:50]}.json"), _TEXT, max_size=2))
        shards = draw(st.lists(st.integers(0, 99).map(str), unique=True, max_size=2))
        return CollectionEntry(points, config, {identifier: shard() for identifier in shards})

    return Manifest(
        lineage=draw(_TEXT),
        epoch=draw(st.integers(1, 10**8 - 1)),
        seq=draw(st.integers(0, 10**10 - 1)),
        parent=draw(st.none() | _TEXT),
        created_at=draw(st.datetimes(timezones=st.just(dt.UTC))).isoformat(timespec="milliseconds"),
        reason=draw(_TEXT),
        qdrant_version=draw(st.sampled_from(["1.18.3", "1.19.0", "1.19.0-dev", "2.0"])),
        writer=draw(_TEXT),
        collections={name: collection() for name in draw(st.lists(_NAMES, unique=True, max_size=2))},
        aliases=draw(st.dictionaries(_TEXT, _TEXT, max_size=2)),
        packs=packs,
        skipped=tuple(draw(st.lists(_TEXT, max_size=2))),
    )


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """Draw a head that can be relied on."""
    epoch, seq = draw(st.integers(1, 10**8 - 1)), draw(st.integers(0, 10**10 - 1))
    has_backup = draw(st.booleans())
    request = st.builds(Request, instance=_TEXT, reason=st.sampled_from(["start", "write"]))
    return Head(
        lineage=draw(_TEXT),
        epoch=epoch,
        holder=draw(_TEXT),
        seq=seq,
        manifest=manifest_name(draw(st.integers(1, epoch)), seq) if has_backup else None,
        manifest_sha256=draw(_SHA256) if has_backup else None,
        clean=draw(st.booleans()),
        requested_by=draw(st.none() | request),
    )


_ODD = st.sampled_from(
    [
        None, True, False, 0, -1, 1.5, 2**63, 2**200, float("inf"), "", ".", "..", "/", "a/../b", "a//b", "\0",
        "\ud800", "x" * 300, "x/" * 2000, [], [[0, 1]], [[1, 2, 3]], [["a", "b"]], {}, {"a": 1}, "0" * 64, "1.19.0",
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw JSON that differs from this in one place: a value, a key, one too many or one too few."""
    root = json.loads(data)
    place = root
    while True:
        keys: list[Any] = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key]) or draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    match draw(st.sampled_from(["value", "value", "drop", "key", "more"])):
        case "drop":
            del place[key]
        case "key" if isinstance(place, dict):
            place[draw(_ODD.map(str) | _TEXT)] = place.pop(key)
        case "more" if isinstance(place, dict):
            place[draw(_ODD.map(str) | _TEXT)] = draw(_ODD | _JSON)
        case _:
            place[key] = draw(_ODD | _JSON)
    return json.dumps(root).encode()
