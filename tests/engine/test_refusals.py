from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engines import Engine


@pytest.fixture(scope="module")
def known(engine: Engine) -> Iterator[str]:
    """Answer a collection of one point."""
    engine.result("PUT", "/collections/refusals", {"vectors": {"size": 2, "distance": "Dot"}})
    points = {"points": [{"id": 1, "vector": [1.0, 2.0]}]}
    engine.result("PUT", "/collections/refusals/points?wait=true", points)
    yield "refusals"
    engine.result("DELETE", "/collections/refusals")


BAD = "Format error in JSON body: "
NO_ID = "is not a valid point ID, valid values are either an unsigned integer or a UUID"
MALFORMED: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "points", {}, 400, f"{BAD}Invalid PointInsertOperations format"),
    ("PUT", "points", None, 400, f"{BAD}EOF while parsing a value at line 1 column 0"),
    ("PUT", "points", {"points": [{"id": 1}]}, 400, f"{BAD}missing field `vector`"),
    ("PUT", "points", {"points": [{"id": -1, "vector": [1, 2]}]}, 400, f"{BAD}value -1 {NO_ID}"),
    ("PUT", "points", {"points": [{"id": "abc", "vector": [1, 2]}]}, 400, f"{BAD}value abc {NO_ID}"),
    ("PUT", "points", {"points": []}, 400, "Bad request: Empty update request"),
    (
        "PUT",
        "points?wait=true",
        {"points": [{"id": 1, "vector": {"nope": [1, 2]}}]},
        400,
        "Wrong input: Not existing vector name error: nope",
    ),
    (
        "PUT",
        "points",
        {"points": [{"id": 1, "vector": [1, 2, 3]}]},
        400,
        "Wrong input: Vector dimension error: expected dim: 2, got 3",
    ),
    (
        "POST",
        "points/payload",
        {"payload": {"a": 1}},
        400,
        f"{BAD}Either list of point ids or filter must be provided",
    ),
    (
        "POST",
        "points/payload?wait=true",
        {"payload": {"a": 1}, "points": [77]},
        404,
        "Not found: No point with id 77 found",
    ),
    ("GET", "points/77", None, 404, "Not found: Point with id 77 does not exists!"),
    ("GET", "points/x", None, 400, 'Wrong input: Can not recognize "x" as point id'),
    (
        "POST",
        "points/scroll",
        {"limit": 0},
        422,
        "Validation error in JSON body: [scroll_request.limit: value 0 invalid, must be 1 or larger]",
    ),
    (
        "PUT",
        "index",
        {"field_name": "a"},
        400,
        "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
    ),
    ("POST", "points/query", {"query": 99}, 404, "Not found: No point with id 99 found"),
    (
        "POST",
        "points/query",
        {"query": [1, 2], "using": "nope"},
        400,
        "Wrong input: Not existing vector name error: nope",
    ),
]


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_request_gets_qdrants_sentence(
    engine: Engine, known: str, case: tuple[str, str, Any, int, str]
) -> None:
    """Status and text are those of a real server, also where no exchange was recorded."""
    method, path, body, status, text = case
    reply = engine.call(method, f"/collections/{known}/{path}", body)
    assert (reply.status, reply.body["status"]["error"]) == (status, text)


@pytest.mark.parametrize("size", [0, -1, "4"])
def test_impossible_vectors_make_no_collection(engine: Engine, size: object) -> None:
    """A size that cannot be is refused, and the name stays free."""
    reply = engine.call("PUT", "/collections/impossible", {"vectors": {"size": size, "distance": "Dot"}})
    assert reply.status == 400
    assert reply.body["status"]["error"].startswith(BAD)
    assert engine.call("GET", "/collections/impossible").status == 404


STREAMS: list[tuple[str, str, Any, bytes]] = [
    ("POST", "/collections/{}/shards/9/snapshot/partial/create", {}, b"Not found: shard 9 not found"),
    ("GET", "/collections/nope/shards/0/snapshot", None, b"Not found: Collection `nope` doesn't exist!"),
]


@pytest.mark.parametrize("case", STREAMS)
def test_streams_refuse_in_plain_text(engine: Engine, known: str, case: tuple[str, str, Any, bytes]) -> None:
    """These routes alone have no envelope around an error."""
    method, path, body, text = case
    reply = engine.call(method, path.format(known), body)
    assert (reply.status, reply.raw) == (404, text)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nope"), ("POST", "/collections"), ("GET", "/collections/a/b/c")]
)
def test_unknown_route_is_not_found(engine: Engine, method: str, path: str) -> None:
    """What no route is for is an empty 404, a wrong method too."""
    reply = engine.call(method, path)
    assert (reply.status, reply.raw) == (404, b"")


def test_alias_is_no_collection_to_delete(engine: Engine, known: str) -> None:
    """An alias is dropped as an alias only, and keeps its name from collections."""
    create = {"create_alias": {"collection_name": known, "alias_name": "other"}}
    engine.result("POST", "/collections/aliases", {"actions": [create]})
    assert engine.result("DELETE", "/collections/other") is False
    taken = engine.call("PUT", "/collections/other", {"vectors": {"size": 2, "distance": "Dot"}})
    assert taken.status == 400
    assert engine.result("GET", "/collections/other/exists") == {"exists": True}
    engine.result("POST", "/collections/aliases", {"actions": [{"delete_alias": {"alias_name": "other"}}]})
    assert engine.result("GET", "/collections/other/exists") == {"exists": False}
