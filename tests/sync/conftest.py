"""Two engines that live as long as a file's tests, the way to one of them, and commands on a bucket."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from runtime.cli import main
from tests.commands.conftest import Ran
from tests.support import engines
from tests.support.engines import EMBEDDED, Engine
from tests.support.lineages import environment
from tests.support.wire import Wire, wire

ENGINE = (os.environ["QDRANT_BIN"],) if "QDRANT_BIN" in os.environ else EMBEDDED


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run the engine on the other side."""
    with engines.running(ENGINE, tmp_path_factory.mktemp("elsewhere")) as engine:
        yield engine


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run a second engine, for what needs two and no command."""
    with engines.running(ENGINE, tmp_path_factory.mktemp("beside")) as engine:
        yield engine


@pytest.fixture
def line(elsewhere: Engine) -> Iterator[Wire]:
    """Give the way to the engine on the other side, which is empty."""
    empty(elsewhere)
    with wire(elsewhere.url) as made:
        yield made


def empty(engine: Engine) -> None:
    """Drop everything an engine holds."""
    for entry in engine.result("GET", "/collections")["collections"]:
        engine.result("DELETE", f"/collections/{quote(entry['name'], safe='')}")


Command = Callable[..., Ran]


@pytest.fixture
def command(tmp_path: Path, line: Wire, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Give a function that runs a command whose source and target are both the engine on the other side."""
    (tmp_path / "bucket").mkdir()

    def run(*arguments: str, **more: str) -> Ran:
        variables = environment(
            f"file://{tmp_path}/bucket", tmp_path / "disk" / "storage", SOURCE_URL=line.url, TARGET_URL=line.url
        )
        for name, value in (variables | more).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


MIXED: dict[str, Any] = {
    "vectors": {
        "dense": {"size": 4, "distance": "Cosine"},
        "half": {"size": 3, "distance": "Dot", "datatype": "float16"},
        "bytes": {"size": 3, "distance": "Euclid", "datatype": "uint8"},
        "late": {"size": 3, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
    "shard_number": 2,
    "quantization_config": {"scalar": {"type": "int8", "always_ram": False}},
}


def mixed_point(number: int, seed: int = 0) -> dict[str, Any]:
    """Return a point with a vector of every kind, some missing, under a number or a UUID."""
    vectors: dict[str, Any] = {
        "dense": [number + 0.1, seed + 0.7, -3.3, 1.0],
        "half": [0.1 * number, 2.0, seed],
        "bytes": [number % 256, seed % 256, 7],
        "late": [[number, 0.5, 0.25]] * (1 + number % 3),
        "words": {"indices": [900 - number % 50, 3], "values": [0.3, seed + 0.9]},
    }
    if number % 5 == 0:
        del vectors["late"], vectors["words"]
    identifier = f"00000000-0000-0000-0000-{number:012d}" if number % 2 else number
    payload = {"n": number, "f": number / 7 + seed, "city": "Łódź", "deep": {"list": [1, 1.0, None, "x", True]}}
    return {"id": identifier, "vector": vectors, "payload": payload}


def make_mixed(engine: Engine, name: str, numbers: range) -> None:
    """Make a collection of every kind of vector, with payload indexes."""
    engine.result("PUT", f"/collections/{name}", MIXED)
    engine.result("PUT", f"/collections/{name}/index?wait=true", {"field_name": "city", "field_schema": "keyword"})
    number = {"type": "integer", "lookup": True, "range": True}
    engine.result("PUT", f"/collections/{name}/index?wait=true", {"field_name": "n", "field_schema": number})
    put(engine, name, [mixed_point(n) for n in numbers])


def make_plain(engine: Engine, name: str, numbers: range) -> None:
    """Make a small collection."""
    engine.result("PUT", f"/collections/{name}", {"vectors": {"size": 2, "distance": "Dot"}})
    put(engine, name, [plain_point(n) for n in numbers])


def plain_point(number: int, version: int = 0) -> dict[str, Any]:
    """Return a small point."""
    return {"id": number, "vector": [number, version], "payload": {"v": version}}


def put(engine: Engine, name: str, points: list[dict[str, Any]]) -> None:
    """Write points and wait."""
    if points:
        engine.result("PUT", f"/collections/{name}/points?wait=true", {"points": points})


def delete(engine: Engine, name: str, ids: list[int | str]) -> None:
    """Delete points and wait."""
    engine.result("POST", f"/collections/{name}/points/delete?wait=true", {"points": ids})


def refusing_snapshots(line: Wire) -> None:
    """Have the other side make no snapshots, as a read-only key does: everything is copied point by point."""
    from tests.support.wire import Fault

    line.plan = lambda asked: Fault(status=403) if asked.is_("POST", "/snapshots") else None


def everything(engine: Engine) -> dict[str, dict[int | str, Any]]:
    """Return every point of every collection."""
    return {
        entry["name"]: engine.points(entry["name"]) for entry in engine.result("GET", "/collections")["collections"]
    }


def aliases(engine: Engine) -> dict[str, str]:
    """Return every alias with its collection."""
    return {entry["alias_name"]: entry["collection_name"] for entry in engine.result("GET", "/aliases")["aliases"]}


def alias(engine: Engine, name: str, collection: str) -> None:
    """Give a collection another name."""
    action = {"create_alias": {"collection_name": collection, "alias_name": name}}
    engine.result("POST", "/collections/aliases", {"actions": [action]})


def statuses(ran: Ran) -> dict[str, tuple[str, str]]:
    """Return what became of each collection, and which way."""
    return {one["collection"]: (one["status"], one["by"]) for one in ran.json["collections"]}
