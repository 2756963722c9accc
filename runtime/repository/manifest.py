"""The manifest: everything one backup consists of, self-contained.

Owns its form and its checks. A restore reads one manifest and the packs it names; nothing else.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from runtime.errors import IntegrityError

FORMAT = 1

SegmentManifests: TypeAlias = Mapping[str, Any]
Hole: TypeAlias = tuple[int, int]

_SHA256 = re.compile(r"[0-9a-f]{64}")


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

    `skipped` names the damaged manifests that a restore passed over before this one was made.
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
    journal: None = None
    skipped: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """How many points all collections held together, as far as counted."""
        return sum(collection.points or 0 for collection in self.collections.values())

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
            "journal": self.journal,
            "skipped": self.skipped,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, *, sha256: str | None = None) -> "Manifest":
        """Read the object's content, against its hash where one is known. Raises IntegrityError."""
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError("the manifest's bytes are not those that HEAD names")
        try:
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise IntegrityError(
                    "the manifest has a format that this version does not know", hint="Use a newer image"
                )
            fields["collections"] = {name: _read_collection(entry) for name, entry in fields["collections"].items()}
            fields["packs"] = {name: PackEntry(**pack) for name, pack in fields["packs"].items()}
            fields["skipped"] = tuple(fields.get("skipped", ()))
            manifest = cls(**fields)
            _check(manifest)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"the manifest is damaged: {error!r}") from error
        return manifest


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


def _check(manifest: Manifest) -> None:
    """Refuse what would read outside a pack or write outside a shard: a manifest may come from anybody's bucket."""
    for name, collection in manifest.collections.items():
        plain_names = [name, *collection.config, *collection.shards]
        if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in plain_names):
            raise IntegrityError(f"the manifest holds a name that is no file's name, in collection {name!r}")
        for shard in collection.shards.values():
            for path, file in shard.files.items():
                _check_file(manifest, path, file)


def _check_file(manifest: Manifest, path: str, file: FileEntry) -> None:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise IntegrityError(f"the manifest places a file outside its shard: {path!r}")
    end = 0
    for start, length in file.holes:
        if start < end or length <= 0:
            raise IntegrityError(f"the manifest's holes of {path!r} overlap")
        end = start + length
    pack = manifest.packs.get(file.pack)
    whole = pack is not None and file.offset >= 0 and file.offset + file.stored <= pack.bytes
    if not whole or end > file.size or not _SHA256.fullmatch(file.sha256):
        raise IntegrityError(f"the manifest's entry of {path!r} does not fit its pack")
