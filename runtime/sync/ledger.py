"""What a run has done so far, kept on the local disk: the next run goes on from there.

Owns the directory and the form of the entries, each a file that is replaced as a whole. Knows nothing of what a stage
means. A directory belongs to one process at a time; one that belongs to other work is emptied.
"""

import asyncio
import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

from runtime.errors import RuntimeFailure, StoreUnreachable
from runtime.repository import file_locks
from runtime.sync.pages import PointId

Stage = Literal["new", "copy", "compare", "done"]

_LOCK_SECONDS = 5.0


@dataclass(slots=True)
class Entry:
    """How far one collection is.

    `cursor` is the id that the stage goes on with (None: the first), `points`, `digest` and `differences` are what
    this reading of the source found so far. `fingerprint` is the source's when that reading began.
    """

    collection: str
    stage: Stage = "new"
    by: Literal["copy", "snapshot"] = "copy"
    essence: str = ""
    cursor: PointId | None = None
    reading: int = 0
    points: int = 0
    digest: str = "0"
    differences: int = 0
    surplus: int = 0
    fingerprint: str | None = None
    snapshot: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was brought over and compared."""
        return self.stage == "done"

    def begin(self, stage: Stage) -> None:
        """Go to a stage, from its first point."""
        self.stage, self.cursor = stage, None
        self.points, self.digest, self.differences, self.surplus = 0, "0", 0, 0


@dataclass(slots=True)
class Ledger:
    """The entries of one piece of work, and the directory that a scratch engine may use beside them."""

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def storage(self) -> Path:
        """Where a scratch engine keeps its data."""
        return self.folder / "storage"

    def entry(self, collection: str) -> Entry:
        """Return a collection's entry, a new one if there is none."""
        return self.entries.setdefault(collection, Entry(collection))

    def save(self, entry: Entry) -> None:
        """Keep an entry: after a kill it is there as it was, or as it is now."""
        path = self._path(entry.collection)
        waiting = path.with_suffix(".new")
        waiting.write_text(json.dumps(asdict(entry)))
        waiting.replace(path)

    def forget(self, collection: str) -> Entry:
        """Begin a collection anew."""
        self._path(collection).unlink(missing_ok=True)
        self.entries.pop(collection, None)
        return self.entry(collection)

    @classmethod
    def load(cls, folder: Path, work: str) -> Self:
        """Read what an earlier run of the same work left, or begin with an empty directory."""
        mark = folder / "work"
        if not mark.is_file() or mark.read_text() != work:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
            mark.write_text(work)
        found = cls(folder)
        for path in folder.glob("*.json"):
            # A file that cannot be read tells of nothing: that collection begins anew.
            with contextlib.suppress(ValueError, TypeError):
                entry = Entry(**json.loads(path.read_text()))
                found.entries[entry.collection] = entry
        return found

    def _path(self, collection: str) -> Path:
        return self.folder / f"{hashlib.sha256(collection.encode()).hexdigest()[:24]}.json"


@contextlib.contextmanager
def opened(beside: Path, kind: str, work: str) -> Iterator[Ledger]:
    """Open the ledger of a kind of work beside a storage directory. `work` tells one piece of it from another.

    Raises RuntimeFailure when another process has it.
    """
    folder = beside.absolute().with_name(f"{beside.name}.{kind}")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file_locks.held(folder / "lock", seconds=_LOCK_SECONDS))
        except StoreUnreachable as error:
            raise RuntimeFailure(f"another sync on this machine is using {folder}", hint="Wait for it") from error
        yield Ledger.load(folder, work)


async def discard(ledger: Ledger) -> None:
    """Delete everything: the work is done."""
    await asyncio.to_thread(shutil.rmtree, ledger.folder, ignore_errors=True)
