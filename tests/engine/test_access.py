from collections.abc import Iterator, Sequence

import grpc
import pytest
from qdrant_client import grpc as messages

from tests.support.engines import Engine, running

KEYS = {"QDRANT__SERVICE__API_KEY": "full", "QDRANT__SERVICE__READ_ONLY_API_KEY": "reader"}


@pytest.fixture(scope="module")
def locked(engine_argv: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run an engine that wants keys."""
    with running(engine_argv, tmp_path_factory.mktemp("locked"), **KEYS) as engine:
        created = engine.call("PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}}, api_key="full")
        assert created.status == 200
        yield engine


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/livez"])
def test_probes_need_no_key(locked: Engine, path: str) -> None:
    """Probes are answered to anyone."""
    assert locked.call("GET", path).status == 200


@pytest.mark.parametrize("path", ["/collections", "/telemetry", "/metrics", "/collections/c"])
def test_everything_else_needs_a_key(locked: Engine, path: str) -> None:
    """Without a key the answer is 401 in plain text; with either key, in either header, it is given."""
    refused = locked.call("GET", path)
    assert refused.status == 401
    assert refused.raw == b"Must provide an API key or an Authorization bearer token"
    assert locked.call("GET", path, api_key="wrong").raw == b"Invalid API key or JWT"
    assert locked.call("GET", path, api_key="reader").status == 200
    assert locked.call("GET", path, Authorization="Bearer full").status == 200


def test_own_header_wins_over_bearer(locked: Engine) -> None:
    """Another token in `Authorization` does not disturb a key in `api-key`."""
    assert locked.call("GET", "/collections", api_key="full", Authorization="Bearer other").status == 200


WRITES = [
    ("PUT", "/collections/d", {"vectors": {"size": 2, "distance": "Dot"}}),
    ("PUT", "/collections/c/points", {"points": [{"id": 1, "vector": [1.0, 2.0]}]}),
    ("POST", "/collections/c/points/delete", {"points": [1]}),
    ("DELETE", "/collections/c", None),
    ("GET", "/collections/c/shards/0/snapshot", None),
    ("POST", "/collections/c/shards/0/snapshot/partial/create", {}),
    ("POST", "/collections/c/snapshots", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_reading_key_does_not_write(locked: Engine, method: str, path: str, body: object) -> None:
    """Writes, and the streams, are forbidden to the key for reading."""
    refused = locked.call(method, path, body, api_key="reader")
    assert refused.status == 403
    assert b"Forbidden: Global manage access is required" in refused.raw


@pytest.mark.parametrize("path", ["points/count", "points/scroll", "points/query"])
def test_reading_key_reads_by_post(locked: Engine, path: str) -> None:
    """Reads that are sent as POST are reads."""
    assert locked.call("POST", f"/collections/c/{path}", {}, api_key="reader").status == 200


@pytest.mark.parametrize(
    ("key", "code"),
    [("wrong", grpc.StatusCode.UNAUTHENTICATED), ("reader", grpc.StatusCode.PERMISSION_DENIED)],
)
def test_grpc_wants_the_same_keys(locked: Engine, key: str, code: grpc.StatusCode) -> None:
    """Over gRPC a wrong key is unauthenticated, and the reading key may only read."""
    with grpc.insecure_channel(f"127.0.0.1:{locked.grpc_port}") as channel:
        chosen = messages.DeletePoints(
            collection_name="c",
            points=messages.PointsSelector(points=messages.PointsIdsList(ids=[messages.PointId(num=1)])),
        )
        points = messages.PointsStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as caught:
            points.Delete(chosen, metadata=(("api-key", key),), timeout=10)
        assert caught.value.code() is code
