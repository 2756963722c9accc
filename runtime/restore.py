"""Restore: the files of one backup, placed where Qdrant expects them, every byte checked before it starts.

Owns what is downloaded in which pieces, and the checks. Decides nothing about which backup: that is
`runtime.selection`. Memory is bounded by the store's buffers, whatever the size of a pack.
"""

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from runtime import local_files
from runtime.engine import storage as layout
from runtime.large_file import LargeFile, is_large
from runtime.repository.manifest import FileEntry, Manifest
from runtime.repository.repository import Repository
from runtime.run_sink import Progress, RunSink, Target, explained
from runtime.task_group import task_group

# Files that lie close together in a pack come in one request; a gap is a few header blocks.
_WIDEST_GAP = 64 * 1024
_LONGEST_RUN = 32 * 1024 * 1024
_PARALLEL_RUNS = 8


async def place(
    repository: Repository, manifest: Manifest, storage: Path, progress: Progress, *, untouched: Manifest | None = None
) -> None:
    """Make a storage directory hold exactly what the manifest says.

    Files that are there already are kept when their hash is right, and deleted when the manifest does not name them.
    `untouched` is what was placed there before, if no engine has run on it since: its files are not hashed again.
    Raises IntegrityError, StoreError, and RuntimeFailure when a file cannot be written.
    """
    targets = _targets(manifest, storage)
    trusted = _targets(untouched, storage) if untouched else {}
    kept = await asyncio.to_thread(local_files.clear, storage, targets, trusted)
    wanted = [Target(path, entry) for path, entry in targets.items() if path not in kept]
    progress.files, progress.bytes = len(wanted), sum(target.entry.stored for target in wanted)
    progress.on_change()
    await _download(repository, wanted, progress)
    with explained(storage):
        await asyncio.to_thread(_write_small_files, manifest, storage)


def clear(storage: Path) -> None:
    """Make a storage directory hold nothing."""
    local_files.clear(storage, {}, {})


def _targets(manifest: Manifest, storage: Path) -> dict[Path, FileEntry]:
    """Return every file of a manifest's shards by where it goes."""
    return {
        layout.shard_dir(storage, name, shard) / path: entry
        for name, collection in manifest.collections.items()
        for shard, shard_entry in collection.shards.items()
        for path, entry in shard_entry.files.items()
    }


def _write_small_files(manifest: Manifest, storage: Path) -> None:
    for name, collection in manifest.collections.items():
        layout.write_config(storage, name, collection.config)
        for shard in collection.shards:
            layout.shard_dir(storage, name, shard).mkdir(exist_ok=True)
    layout.write_aliases(storage, manifest.aliases)


async def _download(repository: Repository, wanted: list[Target], progress: Progress) -> None:
    """Fetch all files, several ranges at a time; the first failure ends the others."""
    large = [LargeFile(target, progress) for target in wanted if is_large(target)]
    pieces = (piece.fetch for file in large for piece in file.pieces())
    small = runs(target for target in wanted if not is_large(target))
    waiting: Iterator[Callable[[Repository], Awaitable[None]]] = itertools.chain(
        pieces, (functools.partial(_fetch, progress, *run) for run in small)
    )

    async def work() -> None:
        for fetch in waiting:
            await fetch(repository)

    async with task_group() as group:
        for file in large:
            group.create_task(file.check())
        for _ in range(_PARALLEL_RUNS):
            group.create_task(work())


async def _fetch(progress: Progress, pack: str, run: list[Target], repository: Repository) -> None:
    sink = RunSink(pack, run, progress)
    try:
        first, last = run[0].entry, run[-1].entry
        # Empty files, or nothing but holes: there is nothing to ask for, and no range that says so.
        if length := last.offset + last.stored - first.offset:
            await repository.read_range(pack, first.offset, length, sink)
        sink.finish()
    finally:
        sink.close()


def runs(wanted: Iterable[Target]) -> Iterator[tuple[str, list[Target]]]:
    """Group files into ranges of one pack each, in pack order."""
    run: list[Target] = []
    for target in sorted(wanted, key=lambda target: (target.entry.pack, target.entry.offset, target.path)):
        if run:
            first, last = run[0].entry, run[-1].entry
            gap = target.entry.offset - (last.offset + last.stored)
            length = target.entry.offset + target.entry.stored - first.offset
            if target.entry.pack != first.pack or not 0 <= gap <= _WIDEST_GAP or length > _LONGEST_RUN:
                yield first.pack, run
                run = []
        run.append(target)
    if run:
        yield run[0].entry.pack, run
