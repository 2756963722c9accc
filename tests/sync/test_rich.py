"""Collections as people have them: odd names, every kind of vector and index, several shards, limits of their own."""

import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.engines import EMBEDDED, Engine, running
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import ENGINE, Command, alias, aliases, empty, everything, put, statuses

# Qdrant takes all of these; a command line, a URL or a file name may not.
NAMES = ["a b", "naïve Łódź 🎉", "a%2Fb#100%", "-da+sh&c=d", ".hidden", "x" * 200]

RICH: dict[str, Any] = {
    "vectors": {
        "scalar": {
            "size": 8,
            "distance": "Cosine",
            "on_disk": True,
            "hnsw_config": {"m": 24, "ef_construct": 120},
            "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}},
        },
        "binary": {"size": 8, "distance": "Manhattan", "quantization_config": {"binary": {"always_ram": True}}},
        "product": {"size": 8, "distance": "Euclid", "quantization_config": {"product": {"compression": "x16"}}},
        "late": {
            "size": 4,
            "distance": "Dot",
            "multivector_config": {"comparator": "max_sim"},
            "hnsw_config": {"m": 0},
        },
        "bytes": {"size": 4, "distance": "Dot", "datatype": "uint8"},
    },
    "sparse_vectors": {
        "words": {"modifier": "idf", "index": {"on_disk": True, "full_scan_threshold": 100, "datatype": "float16"}},
        "plain": {},
    },
    "on_disk_payload": True,
    "hnsw_config": {"m": 20, "payload_m": 8, "full_scan_threshold": 5000},
    "optimizers_config": {"indexing_threshold": 1000, "default_segment_number": 1},
    "quantization_config": {"scalar": {"type": "int8"}},
    "strict_mode_config": {"enabled": True, "max_query_limit": 40, "upsert_max_batchsize": 60},
    "metadata": {"owner": "me", "n": 3},
}
INDEXES: dict[str, Any] = {
    "keyword": "keyword",
    "tenant": {"type": "keyword", "is_tenant": True, "on_disk": True},
    "integer": {"type": "integer", "lookup": False, "range": True, "is_principal": True, "on_disk": True},
    "float": {"type": "float", "on_disk": True},
    "geo": {"type": "geo", "on_disk": True},
    "bool": "bool",
    "datetime": {"type": "datetime", "on_disk": True},
    "uuid": {"type": "uuid", "on_disk": True},
    "prefix": {"type": "text", "tokenizer": "prefix", "min_token_len": 2, "max_token_len": 10, "lowercase": True},
    "text": {
        "type": "text",
        "tokenizer": "multilingual",
        "phrase_matching": True,
        "stopwords": {"languages": ["english"], "custom": ["foo"]},
        "stemmer": {"type": "snowball", "language": "english"},
        "on_disk": True,
    },
    "nested.key[].x": "integer",
}


def rich_point(number: int) -> dict[str, Any]:
    """Return a point with numbers at every edge, some vectors or all of them missing."""
    chance = random.Random(number)
    vectors: dict[str, Any] = {
        **{name: [chance.gauss(0, 1) for _ in range(8)] for name in ("scalar", "binary", "product")},
        "late": [[chance.random() for _ in range(4)] for _ in range(1 + number % 3)],
        "bytes": [chance.randrange(256) for _ in range(4)],
        "words": {"indices": chance.sample(range(10_000), 5), "values": [chance.randint(1, 99) / 8 for _ in range(5)]},
        "plain": {"indices": [2**32 - 1, 0], "values": [1e-30, -3e30]},
    }
    if number % 7 == 0:
        vectors = {}
    elif number % 11 == 0:
        del vectors["late"], vectors["words"]
    payload = {
        "keyword": f"k{number % 5}",
        "tenant": ["a", "b"],
        "integer": number - 2**63,
        "float": number / 3,
        "geo": {"lon": 13.4 + number / 100, "lat": 52.5},
        "bool": number % 2 == 0,
        "datetime": "2023-02-08T10:49:00Z",
        "uuid": str(uuid.UUID(int=number)),
        "prefix": "hello world",
        "text": "Foo bar running",
        "nested": {"key": [{"x": 1}, {"x": [2, 3]}]},
        "odd key": 'ß\u0000\ud7ff\U0001f600"\\/',
        "long": "z" * 1000,
        "numbers": [0.1, 1e308, 5e-324, -0.0, 1e22, 123456789012345680, 2**63 - 1, 1.0, 1, None],
        "": "empty key",
        "a.b": {},
        'quo"te': [],
    }
    identifier = [number, 2**64 - 1 - number, str(uuid.UUID(int=chance.getrandbits(128)))][number % 3]
    return {"id": identifier, "vector": vectors, "payload": {} if number % 13 == 0 else payload}


def make_all(engine: Engine, names: list[str]) -> None:
    """Fill an engine; `names`: of small collections beside the others."""
    for name in names:
        path = f"/collections/{quote(name, safe='')}"
        engine.result("PUT", path, {"vectors": {"size": 2, "distance": "Dot"}})
        point = {"id": str(uuid.UUID(int=5)), "vector": [1, 2], "payload": {"of": name}}
        engine.result("PUT", f"{path}/points?wait=true", {"points": [point]})
    engine.result("PUT", "/collections/rich", RICH)
    for field, index in INDEXES.items():
        engine.result("PUT", "/collections/rich/index?wait=true", {"field_name": field, "field_schema": index})
    for start in range(0, 100, 50):
        put(engine, "rich", [rich_point(number) for number in range(start, start + 50)])
    engine.result("PUT", "/collections/empty", {"vectors": {"size": 3, "distance": "Dot"}})
    engine.result("PUT", "/collections/sparse", {"sparse_vectors": {"s": {}}})
    nothing: dict[str, list[int]] = {"indices": [], "values": []}
    found = {"indices": [7], "values": [1]}
    put(engine, "sparse", [{"id": n, "vector": {"s": words}} for n, words in enumerate((nothing, found))])
    if ENGINE != EMBEDDED:  # which needs a vector
        engine.result("PUT", "/collections/payloads", {"vectors": {}})
        put(engine, "payloads", [{"id": 1, "vector": {}, "payload": {"a": 1}}])
    alias(engine, "ali as/ü", "rich")
    alias(engine, "second", "rich")


def described(engine: Engine) -> dict[str, Any]:
    """Return each collection's configuration and payload indexes, without counts."""
    found = {}
    for entry in engine.result("GET", "/collections")["collections"]:
        told = engine.result("GET", f"/collections/{quote(entry['name'], safe='')}")
        indexes = {field: (index["data_type"], index.get("params")) for field, index in told["payload_schema"].items()}
        found[entry["name"]] = (told["config"], indexes)
    return found


def all_of(engine: Engine) -> tuple[Any, ...]:
    """Return everything that an engine holds."""
    return everything(engine), described(engine), aliases(engine)


def of_two_nodes(asked: Asked) -> Fault | None:
    """Say that there are several nodes, so that no snapshot holds everything."""
    two = {"result": {"status": "enabled", "peers": {"1": {}, "2": {}}}, "status": "ok", "time": 0.0}
    return Fault(answer=json.dumps(two).encode()) if asked.path == "/cluster" else None


WAYS = {"one node": (lambda _: None, "snapshot", NAMES), "several nodes": (of_two_nodes, "copy", NAMES[:2])}


@pytest.mark.parametrize(("plan", "by", "names"), WAYS.values(), ids=WAYS)
def test_whatever_a_source_holds_is_pulled_and_pushed_as_it_is(
    elsewhere: Engine,
    line: Wire,
    command: Command,
    tmp_path: Path,
    *,
    plan: Callable[[Asked], Fault | None],
    by: str,
    names: list[str],
) -> None:
    """From one node and from several; restored, or pushed back to where it came from, it is the same in all of it."""
    make_all(elsewhere, names)
    line.plan = plan
    before = all_of(elsewhere)
    ran = command("sync", "pull", "--json")
    assert ran.code == 0, ran.err
    # Qdrant itself makes no snapshot of a collection whose name leaves its file no room for a date.
    assert {way for name, way in statuses(ran).items() if len(name) < 200} == {("done", by)}
    assert {status for status, _ in statuses(ran).values()} == {"done"}
    assert len(statuses(ran)) == len(before[0])
    assert command("sync", "pull").code == 3
    if by == "snapshot":
        assert command("restore", str(tmp_path / "restored" / "storage")).code == 0
        with running(ENGINE, tmp_path / "restored") as engine:
            assert all_of(engine) == before
        return
    empty(elsewhere)
    pushed = command("sync", "push", "--overwrite", "--json")
    assert pushed.code == 0, pushed.err
    assert all_of(elsewhere) == before
