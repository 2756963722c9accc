"""A pack in a model store, and what placing its files makes of a directory."""

import io
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path

from runtime import restore
from runtime.repository.manifest import FileEntry, Manifest
from runtime.repository.packs import PackSource
from runtime.repository.repository import Repository
from runtime.repository.store import ByteSink
from runtime.run_sink import Progress
from runtime.tar import TarStream
from tests.support import manifests, tars
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.sources import Collected

PACK = "packs/p.tar"
SHARD = Path("collections/things/0")

FILES = {
    "segments/s/a": tars.whole(b"a" * 3000),
    "segments/s/b": tars.Content(((1000, b"b" * 100), (0, b"c"), (5000, b"d" * 10)), 700, is_sparse=True),
    "segments/s/empty": tars.whole(b""),
    "segments/t/hole": tars.Content((), 9000, is_sparse=True),
    "wal/x": tars.whole(b"x" * 10),
}


class ChunkedStore(ModelStore):
    """A store that delivers ranges in pieces of given sizes, over and over, and notes what it delivered."""

    def __init__(self, bucket: ModelBucket, sizes: list[int] | None = None) -> None:
        super().__init__(bucket)
        self.delivered: list[tuple[str, int, int]] = []
        self._sizes = sizes or [1 << 20]

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver exactly the range, in pieces."""
        collected = Collected()
        await super().download(name, offset, length, collected)
        self.delivered.append((name, offset, length))
        data, sizes = memoryview(bytes(collected.data)), cycle(self._sizes)
        while data:
            size = next(sizes)
            sink.write(data[:size])
            data = data[size:]


def packed(files: Mapping[str, tars.Content]) -> tuple[dict[str, FileEntry], bytes]:
    """Return the entries of some files in a pack, and the pack."""
    source = PackSource(PACK, TarStream(io.BytesIO(tars.pack_of(files.items()))), lambda path: path, {})
    data = bytearray()
    while chunk := source.read(1 << 20):
        data += chunk
    return source.files, bytes(data)


def stored(files: Mapping[str, tars.Content]) -> tuple[ModelBucket, Manifest]:
    """Return a bucket with a pack of some files, and their manifest."""
    entries, data = packed(files)
    bucket = ModelBucket()
    bucket.put("test", "upload", PACK, data, 0)
    return bucket, manifests.of_files(PACK, entries, data)


async def place(
    bucket: ModelBucket,
    manifest: Manifest,
    storage: Path,
    *,
    sizes: list[int] | None = None,
    untouched: Manifest | None = None,
) -> tuple[Progress, ChunkedStore]:
    """Place a manifest; return how far it got, and the store."""
    store, progress = ChunkedStore(bucket, sizes), Progress()
    await restore.place(Repository(store), manifest, storage, progress, untouched=untouched)
    return progress, store


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by path; a link is an error."""
    found = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def expected(files: Mapping[str, tars.Content]) -> dict[str, bytes]:
    """Return what the storage directory holds after a placement of some files."""
    placed = {str(SHARD / path): content.read() for path, content in files.items()}
    return {**placed, "collections/things/config.json": b"{}", "aliases/data.json": b"{}"}


def used(manifest: Manifest) -> list[range]:
    """Return which of a pack's bytes its files are made of."""
    entries = manifest.collections["things"].shards["0"].files.values()
    return [range(entry.offset, entry.offset + entry.stored) for entry in entries]


Spoil = Callable[[Path], None]
