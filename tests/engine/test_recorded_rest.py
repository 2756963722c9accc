import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import Reply, running

# In the order in which they make sense: each stands on what those before it did.
EXCHANGES = [
    "root",
    "collections-none",
    "create-collection",
    "create-collection-again",
    "create-index",
    "upsert",
    "upsert-bad-dimension",
    "upsert-missing-collection",
    "create-alias",
    "aliases",
    "collections",
    "collection",
    "collection-missing",
    "count-exact",
    "cluster",
    "partial-manifest-shard0",
    "partial-manifest-shard1",
    "partial-manifest-missing-shard",
    "partial-create-bad-body",
    "telemetry-3",
    "stock-snapshot-create",
    "stock-snapshot-list",
]
# Objects whose keys are names, not fields: any of them will do.
MAPS = ("payload_schema", "file_versions", "num_vectors_by_name", "replicate_states", "responses")
# What the machine, the build or the optimizer decides, not the protocol.
VARIABLE = (
    "result.app.system",
    "result.app.runtime_features",
    "result.app.features",
    "result.cluster",
    "result.requests",
    "result.memory",
    "result.hardware",
    "result.collections.collections.shards.local.optimizations.optimizations",
)


@dataclass(frozen=True)
class Exchange:
    """What the real server answered once, and what the engine under test answers now."""

    expected: Any
    reply: Reply


@pytest.fixture(scope="module")
def replayed(
    engine_argv: Sequence[str], recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Exchange]]:
    """Replay all recorded exchanges on an empty engine, with what happened between them."""
    with running(engine_argv, tmp_path_factory.mktemp("replay")) as engine:
        answered = {}
        for name in EXCHANGES:
            expected = json.loads((recorded / "rest" / f"{name}.json").read_text())
            sent = expected["request"]
            answered[name] = Exchange(expected, engine.call(sent["method"], sent["path"], sent["body"]))
            if name == "create-index":
                field = {"field_name": "n", "field_schema": "integer"}
                engine.result("PUT", "/collections/mixed/index?wait=true", field)
                engine.result("PUT", "/collections/empty", {"vectors": {"size": 4, "distance": "Dot"}})
                points = json.loads((recorded / "points" / "1-full.json").read_text())
                engine.result("PUT", "/collections/mixed/points?wait=true", {"points": points})
        yield answered


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """Tell where `actual` lacks a field of `expected` or has another type there."""
    if where.removeprefix(".") in VARIABLE or expected is None:
        return []
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{where}: {type(actual).__name__} instead of an object"]
        if where.endswith(MAPS) or _is_map(expected):
            expected = dict.fromkeys(actual, next(iter(expected.values())))
        missing = [f"{where}.{key}: missing" for key in expected if key not in actual]
        shared = [key for key in expected if key in actual]
        return missing + [part for key in shared for part in differences(expected[key], actual[key], f"{where}.{key}")]
    if isinstance(expected, list):
        if not isinstance(actual, list) or bool(actual) != bool(expected):
            return [f"{where}: {actual!r} instead of {expected!r}"]
        return [part for pair in zip(expected, actual, strict=False) for part in differences(*pair, where)]
    kinds = [("number" if type(value) in (int, float) else type(value).__name__) for value in (expected, actual)]
    return [] if kinds[0] == kinds[1] or actual is None else [f"{where}: {kinds[1]} instead of {kinds[0]}"]


def _is_map(body: dict[str, Any]) -> bool:
    """Answer whether the keys are segments, not fields."""
    return all(len(key) == 36 and key.count("-") == 4 for key in body) and bool(body)


def test_every_recorded_exchange_is_replayed(recorded: Path) -> None:
    """No recording lies in the folder without being held against the engines."""
    assert {path.stem for path in (recorded / "rest").glob("*.json")} == set(EXCHANGES)


@pytest.mark.parametrize("name", EXCHANGES)
def test_recorded_exchange_is_answered_in_the_same_form(replayed: dict[str, Exchange], name: str) -> None:
    """The status is the recorded one, and the body has every recorded field with its type."""
    exchange = replayed[name]
    assert exchange.reply.status == exchange.expected["status"]
    assert differences(exchange.expected["body"], exchange.reply.body) == []


REFUSALS = [
    "create-collection-again",
    "collection-missing",
    "upsert-bad-dimension",
    "upsert-missing-collection",
    "partial-manifest-missing-shard",
    "partial-create-bad-body",
]


@pytest.mark.parametrize("name", REFUSALS)
def test_recorded_refusal_says_the_same_sentence(replayed: dict[str, Exchange], name: str) -> None:
    """An error's text is the recorded one, word for word."""
    expected, actual = replayed[name].expected["body"], replayed[name].reply.body
    if isinstance(expected, dict):
        expected, actual = expected["status"], actual["status"]
    assert actual == expected


@pytest.mark.parametrize("name", ["collections-none", "collections", "aliases", "count-exact", "create-alias"])
def test_recorded_result_is_the_same(replayed: dict[str, Exchange], name: str) -> None:
    """Where nothing but the data decides the result, it is the recorded one."""
    assert replayed[name].reply.body["result"] == replayed[name].expected["body"]["result"]


def test_points_lie_in_the_recorded_shards(replayed: dict[str, Exchange]) -> None:
    """The ring that sends points to shards is the real server's: the recorded 218 and 182."""
    shards = replayed["cluster"].reply.body["result"]["local_shards"]
    assert [shard["points_count"] for shard in shards] == [218, 182]


def test_configuration_is_the_recorded_one(replayed: dict[str, Exchange]) -> None:
    """The vectors, sparse vectors and shards that were asked for are told back as they were recorded."""
    exchange = replayed["collection"]
    expected = exchange.expected["body"]["result"]["config"]["params"]
    assert exchange.reply.body["result"]["config"]["params"] == expected
