import asyncio
import hashlib
import json
import os
import shlex
import tracemalloc
from pathlib import Path

import pytest

from runtime.export import export
from runtime.repository.directory import DirectoryStore
from runtime.repository.repository import Repository
from runtime.run_sink import Progress
from tests.commands.conftest import Command, Made
from tests.support.engines import EMBEDDED, Engine, running

ENGINES = {"embedded": EMBEDDED, "qdrant": tuple(shlex.split(os.environ.get("QDRANT_BIN", "")))}


@pytest.fixture(params=ENGINES)
def argv(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Give each engine that this machine has."""
    if not ENGINES[request.param]:
        pytest.skip("QDRANT_BIN names no real Qdrant")
    return ENGINES[request.param]


def counts(engine: Engine, collection: str) -> set[object]:
    """Return the ids of a collection's points."""
    return set(engine.points(collection))


def test_a_plain_engine_starts_with_what_was_exported(
    made: Made, command: Command, argv: tuple[str, ...], tmp_path: Path
) -> None:
    """By `--snapshot FILE:NAME`, under a name of its own; vectors and payload included."""
    file = tmp_path / "out" / "books.snapshot"
    ran = command("export", "books", made.ids[0], "--to", str(file), "--json")

    assert ran.code == 0, ran.err
    assert (ran.json["points"], ran.json["to"]) == (20, str(file))
    assert ran.json["bytes"] == file.stat().st_size
    assert ran.json["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    with running((*argv, "--snapshot", f"{file}:again"), tmp_path / "engine") as engine:
        points = engine.points("again")
    assert set(points) == set(range(20))
    assert points[7]["payload"] == {"n": 7}


def test_a_running_engine_recovers_what_was_exported(
    made: Made, command: Command, argv: tuple[str, ...], tmp_path: Path
) -> None:
    """By its own route, from its folder of snapshots."""
    with running(argv, tmp_path / "engine") as engine:
        file = tmp_path / "engine" / "snapshots" / "books.snapshot"
        assert command("export", "books", "--to", str(file)).code == 0
        body = {"location": file.as_uri(), "priority": "snapshot"}
        assert engine.result("PUT", "/collections/books/snapshots/recover", body) is True
        assert set(engine.points("books")) == set(range(30))
    assert made.ids


def test_without_a_file_it_goes_into_the_bucket(made: Made, command: Command) -> None:
    """Named for the collection and the backup's moment; a repetition gives the same bytes and is no error."""
    created = json.loads((made.bucket / "manifests" / f"{made.ids[2]}.json").read_text())["created_at"]
    first = command("export", "books", "--json")

    assert first.code == 0, first.err
    stamp = created[:19].replace("T", "-").replace(":", "-")
    name = f"exports/{created[:10].replace('-', '/')}/books-{stamp}.snapshot"
    assert first.json["to"] == f"file://{made.bucket}/{name}"
    assert hashlib.sha256((made.bucket / name).read_bytes()).hexdigest() == first.json["sha256"]
    assert command("export", "books", "--json").json == first.json


def test_what_is_not_there_is_said(made: Made, command: Command) -> None:
    """The collections that there are, are named."""
    ran = command("export", "drafts")
    assert ran.code == 3
    assert "books, films" in ran.err
    assert command("export", "drafts", made.ids[0]).code == 0


@pytest.mark.parametrize("to_file", [True, False])
@pytest.mark.parametrize("harm", ["flipped", "missing"])
def test_a_damaged_pack_leaves_nothing_behind(
    made: Made, command: Command, tmp_path: Path, harm: str, *, to_file: bool
) -> None:
    """Every hash is checked while the bytes pass; neither a file nor an object appears."""
    manifest = json.loads((made.bucket / "manifests" / f"{made.ids[2]}.json").read_text())
    entries = manifest["collections"]["books"]["shards"]["0"]["files"].values()
    entry = max(entries, key=lambda entry: (entry["pack"], entry["offset"]))
    pack = made.bucket / entry["pack"]
    if harm == "missing":
        pack.unlink()
    else:
        data = bytearray(pack.read_bytes())
        data[entry["offset"]] ^= 1
        pack.write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    ran = command("export", "books", *(["--to", str(out / "books.snapshot")] if to_file else []))

    assert ran.code == 4
    assert entry["pack"] in ran.err
    assert list(out.iterdir()) == []
    assert not [path for path in (made.bucket / "exports").rglob("*") if path.is_file()]


def test_an_unwritable_file_is_no_hang(made: Made, command: Command, tmp_path: Path) -> None:
    """The side that reads packs is told that nobody takes them."""
    (tmp_path / "file").write_text("")
    ran = command("export", "books", "--to", str(tmp_path / "file" / "books.snapshot"))

    assert made.ids
    assert ran.code == 1
    assert str(tmp_path / "file") in ran.err


def test_memory_is_bounded_whatever_waits_at_the_other_end(made: Made, tmp_path: Path) -> None:
    """A collection of 64 MiB passes in a few: what is read waits for what is written."""
    pack = "packs/2026/01/01/00000001-0000000001-0009.tar"
    size = 64 << 20
    (made.bucket / pack).parent.mkdir(parents=True, exist_ok=True)
    with (made.bucket / pack).open("wb") as file:
        file.truncate(size)
    path = made.bucket / "manifests" / f"{made.ids[0]}.json"
    manifest = json.loads(path.read_text())
    zeros = hashlib.sha256(bytes(size)).hexdigest()
    manifest["packs"][pack] = {"bytes": size, "crc32c": "AAAAAA==", "sha256": zeros}
    big = {"pack": pack, "offset": 0, "size": size, "holes": [], "sha256": zeros}
    manifest["collections"]["books"]["shards"]["0"]["files"]["wal/big"] = big
    path.write_text(json.dumps(manifest))

    async def run() -> int:
        """Export it; return the most memory that Python held."""
        store = DirectoryStore(made.bucket)
        try:
            tracemalloc.start()
            await export(Repository(store), "books", made.ids[0], tmp_path / "big.snapshot", Progress())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await store.close()

    assert asyncio.run(run()) < 24 << 20
    assert (tmp_path / "big.snapshot").stat().st_size > size
