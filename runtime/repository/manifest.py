"""The manifest: everything one backup consists of, self-contained.

Owns what it says and how it is written; what is accepted is `manifest_form`'s. A restore reads one manifest
and the packs it names; nothing else.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtime.errors import IntegrityError
from runtime.repository import manifest_form
from runtime.repository.journal_object import JournalPosition
from runtime.repository.json_form import parsed

FORMAT = 1

SegmentManifests: TypeAlias = Mapping[str, Any]
Hole: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: where its stored bytes are (pack, offset), its size with holes, and the hash of the stored bytes."""

    pack: str
    offset: int
    size: int
    holes: tuple[Hole, ...]
    sha256: str

    @property
    def stored(self) -> int:
        """How many bytes the pack holds of it."""
        return self.size - sum(length for _, length in self.holes)

    def same_content(self, other: "FileEntry") -> bool:
        """Whether both describe the same bytes, wherever they are kept."""
        return (self.sha256, self.size, self.holes) == (other.sha256, other.size, other.holes)


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard: what the engine wants to be told for the next increment, and its files by path below the shard."""

    segment_manifests: SegmentManifests
    files: Mapping[str, FileEntry]


@dataclass(frozen=True, slots=True)
class CollectionEntry:
    """One collection: its exact point count (None: not known), its own small files' text, its shards by id."""

    points: int | None
    config: Mapping[str, str]
    shards: Mapping[str, ShardEntry]


@dataclass(frozen=True, slots=True)
class PackEntry:
    """One pack as the store confirmed it. `sha256` is of the whole object."""

    bytes: int
    crc32c: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. `parent` is the object name of the manifest it was made from.

    `skipped` names the damaged manifests that a restore passed over before this one was made. `journal`: up to where
    it contains the journal; None: it was made without one, and contains all of its epoch.
    """

    lineage: str
    epoch: int
    seq: int
    parent: str | None
    created_at: str
    reason: str
    qdrant_version: str
    writer: str
    collections: Mapping[str, CollectionEntry]
    aliases: Mapping[str, str]
    packs: Mapping[str, PackEntry]
    journal: JournalPosition | None = None
    skipped: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """How many points all collections held together, as far as counted."""
        return sum(collection.points or 0 for collection in self.collections.values())

    def replay_from(self) -> JournalPosition:
        """Return the last journal position whose writes it contains: what comes after is to be replayed."""
        return JournalPosition(self.epoch + 1, -1) if self.journal is None else self.journal

    def live_bytes(self) -> int:
        """Return how many bytes of its packs it still needs."""
        return sum(
            file.stored
            for collection in self.collections.values()
            for shard in collection.shards.values()
            for file in shard.files.values()
        )

    def encode(self) -> bytes:
        """Return the object's content."""
        fields = {
            "format": FORMAT,
            "lineage": self.lineage,
            "epoch": self.epoch,
            "seq": self.seq,
            "parent": self.parent,
            "created_at": self.created_at,
            "reason": self.reason,
            "qdrant_version": self.qdrant_version,
            "writer": self.writer,
            "collections": {name: _collection(entry) for name, entry in self.collections.items()},
            "aliases": dict(self.aliases),
            "packs": {
                name: {"bytes": pack.bytes, "crc32c": pack.crc32c, "sha256": pack.sha256}
                for name, pack in self.packs.items()
            },
            "journal": None if self.journal is None else {"epoch": self.journal.epoch, "n": self.journal.n},
            "skipped": self.skipped,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, *, sha256: str | None = None) -> "Manifest":
        """Read the object's content, against its hash where one is known. Raises IntegrityError."""
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError("the manifest's bytes are not those that HEAD names")
        try:
            fields = parsed(data)
            if fields.pop("format") != FORMAT:
                raise IntegrityError(
                    "the manifest has a format that this version does not know", hint="Use a newer image"
                )
            manifest_form.check(fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"the manifest is damaged: {error}") from error
        fields["collections"] = {name: _read_collection(entry) for name, entry in fields["collections"].items()}
        fields["packs"] = {name: PackEntry(**pack) for name, pack in fields["packs"].items()}
        fields["skipped"] = tuple(fields["skipped"])
        fields["journal"] = JournalPosition(**fields["journal"]) if fields["journal"] else None
        return cls(**fields)


def _collection(entry: CollectionEntry) -> dict[str, Any]:
    shards = {
        identifier: {
            "segment_manifests": shard.segment_manifests,
            "files": {
                path: {
                    "pack": file.pack,
                    "offset": file.offset,
                    "size": file.size,
                    "holes": file.holes,
                    "sha256": file.sha256,
                }
                for path, file in shard.files.items()
            },
        }
        for identifier, shard in entry.shards.items()
    }
    return {"points": entry.points, "config": dict(entry.config), "shards": shards}


def _read_collection(fields: dict[str, Any]) -> CollectionEntry:
    shards = {
        identifier: ShardEntry(
            shard["segment_manifests"],
            {
                path: FileEntry(**{**file, "holes": tuple((start, length) for start, length in file["holes"])})
                for path, file in shard["files"].items()
            },
        )
        for identifier, shard in fields["shards"].items()
    }
    return CollectionEntry(fields["points"], fields["config"], shards)
