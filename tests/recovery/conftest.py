"""A bucket with a history that a writer was killed in, made once; and instances that are ended with their test."""

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtime.repository.journal_object import JournalObject, JournalPosition
from tests.support.instances import Fleet, Instance

QUIET = {"BACKUP_QUIET_SECONDS": "3600", "BACKUP_MAX_AGE_SECONDS": "3600"}


@dataclass
class History:
    """What was in `books` after each write, with the time after which it was so. `backups`: ids, oldest first."""

    fleet: Fleet
    states: list[tuple[str, dict[int, str]]] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)

    @property
    def bucket(self) -> Path:
        """The directory that is the bucket."""
        return self.fleet.bucket

    @property
    def latest(self) -> dict[int, str]:
        """What the last acknowledged write left."""
        return self.states[-1][1]

    def note(self, state: dict[int, str]) -> None:
        """Note what there is now."""
        self.states.append((dt.datetime.now(dt.UTC).isoformat(), dict(state)))

    def command(self, *arguments: str, **settings: str) -> Any:
        """Run a command that must succeed; return the document it printed."""
        ran = self.fleet.command(*arguments, "--json", QDRANT_STORAGE_DIR=str(self.fleet.folder / "own"), **settings)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def refusal(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run a command that must fail; return its exit code and what it said."""
        ran = self.fleet.command(*arguments, QDRANT_STORAGE_DIR=str(self.fleet.folder / "own"), **settings)
        assert ran.returncode != 0, ran.stdout
        return ran.returncode, ran.stderr

    def held_by(self, storage: Path) -> dict[int, str]:
        """Start a Qdrant on a storage directory, return what `books` holds."""
        engine = self.fleet.engine(storage)
        try:
            return scrolled(engine)
        finally:
            engine.kill()

    def restored(self, *arguments: str, **settings: str) -> dict[int, str]:
        """Restore into a new directory; return what a Qdrant finds there."""
        target = self.fleet.folder / f"restored-{len(list(self.fleet.folder.glob('restored-*')))}"
        done = self.command("restore", str(target), *arguments, **settings)
        held = self.held_by(target)
        assert done["points"] == len(held)
        return held

    def objects(self) -> list[JournalPosition]:
        """Return the positions of the journal's objects, in order."""
        found = sorted((self.bucket / "journal").glob("*/*"))
        return [JournalPosition(int(path.parent.name), int(path.name)) for path in found]

    def path(self, position: JournalPosition) -> Path:
        """Return a journal object's file."""
        return self.bucket / "journal" / f"{position.epoch:08d}" / f"{position.n:010d}"

    def read(self, position: JournalPosition) -> JournalObject:
        """Return a journal object."""
        lineage = json.loads((self.bucket / "HEAD").read_text())["lineage"]
        return JournalObject.decode(self.path(position).read_bytes(), lineage=lineage, position=position)


def scrolled(engine: Instance) -> dict[int, str]:
    """Return what `books` holds: each point's word."""
    if engine.ask("GET", "/collections/books").status_code == 404:
        return {}
    found = engine.result("POST", "/collections/books/points/scroll", {"limit": 1000, "with_payload": True})
    return {point["id"]: point["payload"]["word"] for point in found["points"]}


def put(writer: Instance, state: dict[int, str], **words: str) -> None:
    """Write points, and note them in `state`."""
    points = [{"id": int(name[1:]), "vector": [1.0, 2.0], "payload": {"word": word}} for name, word in words.items()]
    writer.result("PUT", "/collections/books/points?wait=true", {"points": points})
    state.update({int(name[1:]): word for name, word in words.items()})


def remove(writer: Instance, state: dict[int, str], identifier: int) -> None:
    """Delete a point."""
    writer.result("POST", "/collections/books/points/delete?wait=true", {"points": [identifier]})
    del state[identifier]


def make(fleet: Fleet) -> History:
    """Write in two lives, with a backup in the middle of each; the first is killed, the second, too."""
    history, state = History(fleet), dict[int, str]()
    for life in range(2):
        writer = fleet.start(**QUIET)
        if life == 0:
            writer.result("PUT", "/collections/books", {"vectors": {"size": 2, "distance": "Dot"}})
            history.note(state)
        for step in range(4):
            put(writer, state, **{f"p{step}": f"{life}-{step}", f"p{100 * life + 10 + step}": "new"})
            history.note(state)
            if step == 1:
                history.backups.append(writer.save()["backup"])
                remove(writer, state, 0)
                history.note(state)
        writer.kill()
    return history


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Make the history once."""
    with Fleet(tmp_path_factory.mktemp("history")) as fleet:
        return make(fleet)


@pytest.fixture
def history(template: History, tmp_path: Path) -> Iterator[History]:
    """Give a copy to do anything to."""
    shutil.copytree(template.bucket, tmp_path / "bucket")
    with Fleet(tmp_path) as fleet:
        yield History(fleet, list(template.states), list(template.backups))
