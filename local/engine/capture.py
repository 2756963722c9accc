"""What a shard's stream holds: a copy of the files that are needed, taken while the shard stands still.

Owns which files a manifest calls for and their order in the archive. The copy lies in a folder of its own
until the stream has ended, because the engine changes its files in place.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local.engine import tar, wal
from local.engine.refusal import Json

_ALWAYS = ("segment.json", "version.info")
_ORDER = ("vector_index", "vector_storage", "payload_index", "payload_storage")
_SHARD_FILES = ("newest_clocks.json", "oldest_clocks.json", "replica_state.json", "shard_config.json")
_CLOCKS = 2  # of the files above, how many stand before the log


@dataclass(frozen=True)
class Capture:
    """A shard at one instant, ready to be streamed; `close` gives its disk space back."""

    folder: Path
    members: list[tar.Member]

    def stream(self) -> Iterator[bytes]:
        """Yield the archive."""
        return tar.stream(self.members)

    def close(self) -> None:
        """Delete the copy."""
        shutil.rmtree(self.folder, ignore_errors=True)


def take(shard: Path, target: Path, current: Json, wanted: Json | None, operation: int) -> Capture:
    """Copy what `wanted`, the manifest a client has, lacks of `current`; all of it if it is None.

    The caller holds the shard still and has flushed it.
    """
    members: list[tar.Member] = []
    for segment, manifest in current.items():
        source = shard / "segments" / segment
        inside = f"segments/{segment}/files"
        if wanted is not None:
            content = json.dumps(manifest, separators=(",", ":")).encode()
            members.append(tar.Member(f"{inside}/segment_manifest.json", content=content))
        needed = changed_files((wanted or {}).get(segment), manifest)
        for name in (*sorted(needed, key=_order), *_ALWAYS):
            copy = _copy(source / name, target / "segments" / segment / name)
            if copy is not None:
                members.append(tar.Member(f"{inside}/{name}", path=copy))
    log = wal.write_empty(target / "wal", operation)
    small = [tar.Member(name, content=(shard / name).read_bytes()) for name in _SHARD_FILES if (shard / name).exists()]
    clocks = [member for member in small if member.name in _SHARD_FILES[:_CLOCKS]]
    members += [*clocks, tar.Member("wal/"), tar.Member(f"wal/{log.name}", path=log)]
    members += [member for member in small if member not in clocks]
    return Capture(target, members)


def changed_files(old: Json | None, current: Json) -> list[str]:
    """Answer the files of a segment that are new or newer than in `old`, by Qdrant's own rule."""
    versions = current["file_versions"]
    if old is None:
        return list(versions)
    had = old["file_versions"]
    return [name for name in versions if name not in had or _newer(old, current, name)]


def _newer(old: Json, current: Json, name: str) -> bool:
    before, now = _version(old, name), _version(current, name)
    # An empty segment and one that holds operation 0 both say 0, so 0 proves nothing.
    return bool(before < now or before == now == 0)


def _version(manifest: Json, name: str) -> int:
    version = manifest["file_versions"][name]
    return int(manifest["segment_version"] if version is None else version)


def _order(name: str) -> tuple[int, bool, str]:
    rank = next((index for index, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))
    return rank, name == "payload_index/config.json", name


def _copy(source: Path, target: Path) -> Path | None:
    with suppress(FileNotFoundError), source.open("rb") as reading:
        target.parent.mkdir(parents=True, exist_ok=True)
        status = os.fstat(reading.fileno())
        with target.open("wb") as writing:
            os.truncate(writing.fileno(), status.st_size)
            for offset, length in tar.data_extents(reading.fileno(), status.st_size):
                _copy_range(reading.fileno(), writing.fileno(), offset, length)
        target.chmod(status.st_mode)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        return target
    return None


def _copy_range(source: int, target: int, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        copied = os.copy_file_range(source, target, end - offset, offset, offset)
        if copied == 0:
            break
        offset += copied
