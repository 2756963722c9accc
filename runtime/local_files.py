"""What lies in the storage directory already: kept where it is right, deleted where it is not.

Owns the comparison of local files with a manifest's entries. Once an engine has run on a folder only hashes say what
its files hold.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.repository.manifest import FileEntry
from runtime.run_sink import extents

_HASH_CHUNK = 256 * 1024


def clear(storage: Path, targets: Mapping[Path, FileEntry], trusted: Mapping[Path, FileEntry]) -> set[Path]:
    """Delete everything below `storage` but the files that are as `targets` says; return those.

    A file that `trusted` says the same of is not read again.
    """
    storage.mkdir(parents=True, exist_ok=True)
    kept: set[Path] = set()
    collections = storage / "collections"
    has_any = collections.is_dir() and not collections.is_symlink()
    candidates = [path for path in collections.rglob("*") if path in targets] if has_any else []
    if candidates:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            same = pool.map(
                lambda path: holds(path, targets[path], is_trusted=trusted.get(path) == targets[path]), candidates
            )
            kept = {path for path, is_same in zip(candidates, same, strict=True) if is_same}
    for entry in storage.iterdir():
        if entry != collections or not has_any:
            _remove(entry)
    folders = {parent for path in kept for parent in path.parents}
    for folder, names, files in os.walk(collections):
        for name in list(names):
            if Path(folder, name) not in folders:
                _remove(Path(folder, name))
                names.remove(name)
        for name in files:
            if Path(folder, name) not in kept:
                Path(folder, name).unlink()
    return kept


def _remove(path: Path) -> None:
    """Delete a file, a folder, or a link, never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def holds(path: Path, entry: FileEntry, *, is_trusted: bool = False) -> bool:
    """Whether a file is, byte for byte, what the manifest says; its holes are read as zeros and must be zeros."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    if is_trusted:
        return True
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for start, length in extents(entry):
            for offset in range(start, start + length, _HASH_CHUNK):
                digest.update(os.pread(file.fileno(), min(_HASH_CHUNK, start + length - offset), offset))
        return digest.hexdigest() == entry.sha256 and all(_is_zero(file.fileno(), hole) for hole in entry.holes)


def _is_zero(descriptor: int, hole: tuple[int, int]) -> bool:
    """Whether a range reads as zeros; what the file system knows as a hole is not read."""
    position, end = hole[0], sum(hole)
    while position < end:
        try:
            position = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            # A file system that does not tell holes (a sandbox's, for one): every byte is read.
        if position < end:
            chunk = os.pread(descriptor, min(_HASH_CHUNK, end - position), position)
            if not chunk or any(chunk):
                return False
            position += len(chunk)
    return True
