"""Qdrant's storage layout: what lies where below its storage directory, and how a stream's paths map to it.

Owns these facts (observed on 1.18.3 and 1.19.0). Reads a collection's own small files; writes none.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.errors import EngineError, IntegrityError

# The files beside a collection's shards; written by Qdrant atomically, not part of any stream.
CONFIG_FILES: Final = ("config.json", "version.info", "shard_key_mapping.json", "payload_index.json")

_SEGMENT_MANIFEST = "segment_manifest.json"


def collection_dir(storage: Path, collection: str) -> Path:
    """Return where a collection lies."""
    return storage / "collections" / collection


def shard_dir(storage: Path, collection: str, shard: str) -> Path:
    """Return where a shard lies."""
    return collection_dir(storage, collection) / shard


def aliases_file(storage: Path) -> Path:
    """Return where the aliases lie, as `{"alias": "collection"}`."""
    return storage / "aliases" / "data.json"


def read_config(storage: Path, collection: str) -> dict[str, str]:
    """Return the text of a collection's own files. Raises EngineError when its config is not there."""
    folder = collection_dir(storage, collection)
    found = {}
    for name in CONFIG_FILES:
        try:
            found[name] = (folder / name).read_text()
        except FileNotFoundError:
            continue
    if "config.json" not in found:
        raise EngineError(
            f"the collection {collection!r} has no config.json in {folder}",
            hint="QDRANT_STORAGE_DIR must be the directory that this Qdrant uses",
        )
    return found


def shard_ids(storage: Path, collection: str) -> list[str]:
    """Return the ids of a collection's shards, as they are on disk. Raises FileNotFoundError."""
    folder = collection_dir(storage, collection)
    return sorted((entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name.isdigit()), key=int)


def placed(stream_path: str) -> str | None:
    """Return where below its shard a stream's file is placed; None for a segment's manifest, which is not placed.

    `segments/ID/files/x` goes to `segments/ID/x`. With the `files/` level left in, Qdrant deletes the segment,
    starts, says it is ready, and holds no points (observed on 1.18.3): so any other shape is refused here.
    """
    parts = stream_path.split("/")
    if parts[0] != "segments":
        return stream_path
    if len(parts) < 4 or parts[2] != "files":
        raise IntegrityError(f"the shard stream holds {stream_path!r}: not the layout this version knows")
    if parts[3:] == [_SEGMENT_MANIFEST]:
        return None
    return "/".join((*parts[:2], *parts[3:]))


def streamed(placed_path: str) -> str:
    """Return where in a stream or a stock snapshot a placed file is: the inverse of `placed`."""
    parts = placed_path.split("/")
    return placed_path if parts[0] != "segments" else "/".join((*parts[:2], "files", *parts[2:]))


def segment_files(manifest: object) -> set[str]:
    """Return the paths below its shard of the files that a segment's manifest lists."""
    match manifest:
        case {"segment_id": str(segment), "file_versions": dict(versions)}:
            return {f"segments/{segment}/{name}" for name in versions}
    raise IntegrityError("a segment's manifest has no id or lists no files: not the form this version knows")


def write_config(storage: Path, collection: str, config: Mapping[str, str]) -> None:
    """Place a collection's own files."""
    folder = collection_dir(storage, collection)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in config.items():
        (folder / name).write_text(text)


def write_aliases(storage: Path, aliases: Mapping[str, str]) -> None:
    """Place the aliases."""
    path = aliases_file(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(aliases)))


def set_aside(storage: Path) -> Path | None:
    """Move what lies in the storage directory beside it, keeping one such copy; None when nothing was moved.

    An instance that is started again on the same disk may hold writes that no backup has: they stop being served,
    but stay to be looked at. A mounted volume cannot be moved; its content is replaced in place.
    """
    if not storage.exists() or not any(storage.iterdir()) or os.path.ismount(storage):
        return None
    aside = storage.with_name(f"{storage.name}.before-restore")
    shutil.rmtree(aside, ignore_errors=True)
    storage.rename(aside)
    return aside


def counts_everything(config: Mapping[str, str]) -> bool:
    """Whether a collection's exact count is the number of its points.

    With `prevent_unoptimized` (1.19) points are hidden, from counts too, until they are optimized: the count then
    says when it was taken rather than what there is.
    """
    optimizers = json.loads(config["config.json"]).get("optimizer_config") or {}
    return not optimizers.get("prevent_unoptimized")
