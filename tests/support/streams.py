"""Shard streams in tests: read, merged, and laid out as an engine expects them."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 64 * 1024


@dataclass
class ShardState:
    """What the streams so far say a shard consists of: contents by path, manifests by segment."""

    files: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Any] = field(default_factory=dict)

    def apply(self, stream: bytes) -> "ShardState":
        """Take in the next stream: what it carries is newer, what its manifests no longer name is gone."""
        carried: dict[str, bytes] = {}
        manifests: dict[str, Any] = {}
        with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None:
                    continue
                if member.name.endswith("/segment_manifest.json"):
                    manifest = json.load(content)
                    manifests[manifest["segment_id"]] = manifest
                else:
                    carried[member.name] = content.read()
        merged = self.files | carried
        kept = {name: content for name, content in merged.items() if name in carried or _named(name, manifests)}
        return ShardState(kept, manifests)

    def place(self, shard: Path) -> None:
        """Lay the shard out where an engine looks for it: as it is, without the `files` level."""
        for name, content in self.files.items():
            path = shard / name.replace("/files/", "/", 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_sparse(path, content)


def _write_sparse(path: Path, content: bytes) -> None:
    """Write a file and leave its empty blocks out, as it lay where it came from."""
    with path.open("wb") as file:
        for at in range(0, len(content), _BLOCK):
            block = content[at : at + _BLOCK]
            if block.count(0) < len(block):
                file.seek(at)
                file.write(block)
        file.truncate(len(content))


def names(stream: bytes) -> list[str]:
    """Answer the names of a stream's members, in order."""
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        return archive.getnames()


def place_collection(source: Path, target: Path, shards: Iterable[ShardState]) -> None:
    """Lay out a collection: its own files copied from `source`, its shards from streams."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, target)
    for number, shard in enumerate(shards):
        shard.place(target / str(number))


def _named(name: str, manifests: dict[str, Any]) -> bool:
    """Answer whether the manifests still know a file."""
    parts = name.split("/", 3)
    if len(parts) < 4 or parts[0] != "segments":
        return False
    manifest = manifests.get(parts[1])
    return manifest is not None and parts[3] in manifest["file_versions"]
