"""Stock snapshots: a whole collection as one tar file, made, listed and unpacked.

Owns the snapshot files and their form, not where a restored collection goes.
"""

import datetime as dt
import hashlib
import secrets
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from local.engine import tar
from local.engine.collection import Collection
from local.engine.node import Node
from local.engine.refusal import Json, not_found


def create(node: Node, name: str) -> Json:
    """Snapshot a collection and describe the file."""
    collection = node.collection(name)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d-%H-%M-%S")
    target = _folder(node, collection) / f"{collection.name}-{node.peer}-{stamp}.snapshot"
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    waiting = node.temporary / f"stock-{secrets.token_hex(8)}"
    with ExitStack() as stack, waiting.open("wb") as file:
        members: list[tar.Member] = []
        for shard in collection.shards:
            capture = shard.capture(node.temporary / f"stock-{secrets.token_hex(8)}", None)
            stack.callback(capture.close)
            members += [tar.Member(f"{shard.number}/{part.name}", part.path, part.content) for part in capture.members]
        members += [tar.Member(path.name, path=path) for path in collection.files()]
        for chunk in tar.stream(members):
            digest.update(chunk)
            file.write(chunk)
    target.with_name(f"{target.name}.checksum").write_text(digest.hexdigest())
    waiting.replace(target)
    return _describe(target)


def listing(node: Node, name: str) -> list[Json]:
    """Describe the snapshots of a collection."""
    return [_describe(path) for path in sorted(_folder(node, node.collection(name)).glob("*.snapshot"))]


def find(node: Node, name: str, snapshot: str) -> Path:
    """Answer where a snapshot lies."""
    folder = _folder(node, node.collection(name))
    path = folder / snapshot
    if path.parent != folder or not path.is_file():
        raise not_found(f"Snapshot {snapshot} not found")
    return path


def delete(node: Node, name: str, snapshot: str) -> bool:
    """Delete a snapshot."""
    path = find(node, name, snapshot)
    path.unlink()
    path.with_name(f"{path.name}.checksum").unlink(missing_ok=True)
    return True


def unpack(source: IO[bytes], target: Path) -> None:
    """Lay out the collection that `source` holds, read strictly forward, as it has to lie in the storage."""
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            parts = Path(member.name).parts
            if ".." in parts or not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"unexpected member {member.name}")
            if member.isfile() and len(parts) == 3 and parts[1] == "segments":
                with archive.extractfile(member) or source as nested:
                    _unpack_segment(nested, target / parts[0] / "segments" / parts[2].removesuffix(".tar"))
            elif member.isfile() and parts[-1] != "segment_manifest.json":
                if len(parts) > 4 and parts[1] == "segments" and parts[3] == "files":
                    parts = (*parts[:3], *parts[4:])
                _place(archive, member, target.joinpath(*parts))


def _unpack_segment(source: IO[bytes], target: Path) -> None:
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            parts = Path(member.name).parts
            if member.isfile() and parts[:2] == ("snapshot", "files"):
                _place(archive, member, target.joinpath(*parts[2:]))


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    archive.makefile(member, str(path))


def _folder(node: Node, collection: Collection) -> Path:
    return node.snapshots / collection.name


def _describe(path: Path) -> Json:
    status = path.stat()
    made = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC).replace(tzinfo=None)
    return {
        "name": path.name,
        "creation_time": made.isoformat(timespec="seconds"),
        "size": status.st_size,
        "checksum": path.with_name(f"{path.name}.checksum").read_text(),
    }
