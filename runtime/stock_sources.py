"""Stock snapshots to adopt: which files or objects are meant, and what collection each is of.

Owns the names: `{collection}-{peer}-{time}.snapshot` as Qdrant names them, and `{collection}-{time}.snapshot` as
`export` does. The time in a name is only a label; it decides which of several snapshots of one collection in a folder
is the newest, because nothing else there says so, and the choice is shown.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.errors import ConfigError, IntegrityError, NothingThere, ObjectMissing
from runtime.repository.store import ObjectInfo, Store
from runtime.run_sink import Progress

_TIME = r"(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)"
_FORMS = (
    re.compile(rf"(?P<collection>.+)-(?P<peer>\d+)-{_TIME}\.snapshot", re.DOTALL),
    re.compile(rf"(?P<collection>.+)-{_TIME}\.snapshot", re.DOTALL),
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What Qdrant calls a snapshot of everything: a tar of snapshots, which no route takes.
_OF_EVERYTHING = "full-snapshot"


@dataclass(frozen=True, slots=True)
class Source:
    """One snapshot: where it is, the collection it is of, and how to get it to a path (linked or downloaded)."""

    where: str
    collection: str
    time: str
    bring: Callable[[Path, Progress], Awaitable[None]]


async def find_sources(
    texts: Sequence[str], name: str | None, stores: Callable[[str], tuple[Store, str]]
) -> list[Source]:
    """Return what is meant, one for each collection. `stores` gives the store and the prefix that a text names.

    Raises ConfigError, NothingThere, StoreError.
    """
    found: list[Source] = []
    for text in texts:
        path = Path(text)
        if path.is_file():
            found.append(_local(path, name))
        elif path.is_absolute():
            raise NothingThere(f"there is no file {text}", hint="Objects are named without a leading slash")
        else:
            store, prefix = stores(text)
            found += await _newest_of_each(store, prefix, name)
    if name is not None and len(found) != 1:
        raise ConfigError(f"{len(found)} snapshots cannot all be {name!r}", hint="Give one SOURCE with --name")
    taken: dict[str, str] = {}
    for source in found:
        if source.collection in taken:
            raise ConfigError(
                f"{taken[source.collection]} and {source.where} are both of collection {source.collection!r}",
                hint="Name the one to adopt",
            )
        taken[source.collection] = source.where
    return found


def collection_and_time(file_name: str) -> tuple[str, str] | None:
    """Return the collection and the time that a snapshot's name tells, or None."""
    match = next((match for form in _FORMS if (match := form.fullmatch(file_name))), None)
    return (match["collection"], match["time"]) if match else None


def _local(path: Path, name: str | None) -> Source:
    collection, time = _named(path.name, str(path), name)

    async def bring(to: Path, _: Progress) -> None:
        checksum = path.with_name(f"{path.name}.checksum")
        if checksum.is_file():
            with path.open("rb") as file:
                _compare(str(path), checksum.read_text(), hashlib.file_digest(file, "sha256").hexdigest())
        # Under a name of ours: Qdrant 1.18 takes any colon in FILE:NAME for the one that matters.
        to.symlink_to(path.absolute())

    return Source(str(path), collection, time, bring)


async def _newest_of_each(store: Store, prefix: str, name: str | None) -> list[Source]:
    newest: dict[str, Source] = {}
    async for info in store.list(prefix):
        if not info.name.endswith(".snapshot"):
            continue
        collection, time = _named(info.name.rpartition("/")[2], f"{store}/{info.name}", name)
        source = Source(f"{store}/{info.name}", collection, time, _bringing(store, info))
        if name is not None and collection in newest:
            raise ConfigError(f"several snapshots start with {prefix!r}", hint="With --name, give one whole name")
        if collection not in newest or time >= newest[collection].time:
            newest[collection] = source
    if not newest:
        raise NothingThere(
            f"no file {prefix!r}, and no object in {store} whose name starts so and ends with .snapshot",
            hint="Give a local file, a name or prefix below BACKUP_URL, or gs://BUCKET/NAME",
        )
    return list(newest.values())


def _named(file_name: str, where: str, name: str | None) -> tuple[str, str]:
    told = collection_and_time(file_name)
    if told is not None and told[0].startswith(_OF_EVERYTHING):
        raise ConfigError(
            f"{where} is a snapshot of a whole storage", hint="Unpack it (tar xf) and adopt the snapshots inside"
        )
    if name is not None:
        return name, told[1] if told else ""
    if told is None:
        raise ConfigError(f"the name of {where} does not tell its collection", hint="Give it with --name")
    return told


def _bringing(store: Store, info: ObjectInfo) -> Callable[[Path, Progress], Awaitable[None]]:
    async def bring(to: Path, progress: Progress) -> None:
        with to.open("wb") as file:
            sink = _Sink(file, progress)
            await store.download(info.name, 0, info.size, sink)
        try:
            checksum, _ = await store.read(f"{info.name}.checksum")
        except ObjectMissing:
            return
        _compare(f"{store}/{info.name}", checksum.decode(errors="replace"), sink.digest.hexdigest())

    return bring


class _Sink:
    """A file, and the hash of what was written to it."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self.digest = hashlib.sha256()
        self._file = file
        self._progress = progress

    def write(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self._file.write(data)
        self._progress.bytes_done += len(data)


def _compare(where: str, expected: str, actual: str) -> None:
    """Compare with the checksum that Qdrant puts beside a snapshot, if that is what lies there."""
    if _SHA256.fullmatch(expected.strip()) and expected.strip() != actual:
        raise IntegrityError(f"{where} is not what its .checksum says", hint="Fetch it anew, or use another snapshot")
