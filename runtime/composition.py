"""What a backup consists of: put together from the barrier's findings and the packs, and checked to be whole.

Owns the composition; touches no engine and no store.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.edge.gate import Written
from runtime.engine import storage as layout
from runtime.engine.stream import ShardStream
from runtime.errors import IntegrityError
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import CollectionEntry, Manifest, PackEntry, ShardEntry
from runtime.repository.packs import PackSource


@dataclass(frozen=True, slots=True)
class Base:
    """What the engine holds at least: the newest manifest, its object name, and what was written by then.

    `leaves_behind`: the lineage holds what the engine does not, as a person said; so even nothing has to be saved.
    """

    manifest: Manifest | None
    name: str | None
    written: Written
    leaves_behind: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the lineage a backup goes."""

    lineage: str
    epoch: int
    seq: int
    writer: str
    reason: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup whose packs are in the store, and what it took. `manifest` is None when there was nothing to save."""

    manifest: Manifest | None
    written: Written
    looked_at: tuple[str, ...]
    streamed_bytes: int
    packed_bytes: int
    held_seconds: float


@dataclass(slots=True)
class Capture:
    """One collection at the barrier."""

    config: Mapping[str, str]
    points: int | None = None
    streams: dict[str, ShardStream | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instant:
    """Everything that was decided while writes were held."""

    at: dt.datetime
    written: Written
    collections: list[str]
    aliases: dict[str, str]
    captures: dict[str, Capture]
    journal: JournalPosition | None
    seconds: float


def known_shard(manifest: Manifest | None, collection: str, shard: str) -> ShardEntry | None:
    """Return what a manifest holds of a shard, if anything."""
    entry = manifest.collections.get(collection) if manifest else None
    return entry.shards.get(shard) if entry else None


def shard_entry(source: PackSource, known: ShardEntry | None, what: str) -> ShardEntry:
    """Return a shard's entry after its stream was read: what came, and of the rest what the parent has.

    The segments are those the stream describes. Raises IntegrityError when a segment names a file that neither
    came nor is in the parent: the engine was asked with another base than it believes.
    """
    manifests = {}
    files = dict(source.files)
    for note in source.notes.values():
        try:
            segment = json.loads(note)
        except ValueError as error:
            raise IntegrityError(f"the stream of {what} holds a segment's manifest that is no JSON") from error
        paths = layout.segment_files(segment)
        manifests[segment["segment_id"]] = segment
        for path in paths - files.keys():
            if known is None or path not in known.files:
                raise IntegrityError(f"the stream of {what} lacks {path}, and so does the newest backup")
            files[path] = known.files[path]
    return ShardEntry(manifests, files)


def compose(
    base: Base,
    position: Position,
    instant: Instant,
    shards: Mapping[str, Mapping[str, ShardEntry]],
    packs: Mapping[str, PackEntry],
    qdrant_version: str,
) -> Manifest:
    """Return the manifest: what was looked at as it was found, the rest as the parent has it."""
    parent = base.manifest
    collections = {}
    for name in instant.collections:
        capture = instant.captures.get(name)
        if capture is not None:
            collections[name] = CollectionEntry(capture.points, capture.config, shards[name])
        elif parent is not None:
            collections[name] = parent.collections[name]
    available = {**(parent.packs if parent else {}), **packs}
    needed = {
        file.pack for entry in collections.values() for shard in entry.shards.values() for file in shard.files.values()
    }
    return Manifest(
        lineage=position.lineage,
        epoch=position.epoch,
        seq=position.seq,
        parent=base.name,
        created_at=instant.at.isoformat(timespec="milliseconds"),
        reason=position.reason,
        qdrant_version=qdrant_version,
        writer=position.writer,
        collections=collections,
        aliases=instant.aliases,
        packs={name: pack for name, pack in available.items() if name in needed},
        journal=instant.journal,
        skipped=position.skipped,
    )


def differs(manifest: Manifest, parent: Manifest | None) -> bool:
    """Whether a manifest says anything that its parent does not."""
    if parent is None:
        return bool(manifest.collections)
    return manifest.collections != parent.collections or manifest.aliases != parent.aliases
