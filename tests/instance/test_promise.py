"""The promise: what was written is there again on an empty disk."""

import contextlib

import grpc
import httpx
import pytest

from tests.support.instances import Fleet, eventually
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.workload import MIXED, grpc_client, holdings, points_of, write_mixed


def test_everything_written_is_back_after_sigkill_on_an_empty_disk(any_fleet: Fleet) -> None:
    """Points, every kind of vector, payload, indexes, aliases and shards equal what was sent; no child survives."""
    first = any_fleet.start()
    expected = write_mixed(first)
    before = holdings(first)
    assert points_of(first, MIXED) == expected
    first.save()
    first.kill()
    second = any_fleet.start()
    assert points_of(second, MIXED) == expected
    assert holdings(second) == before
    assert second.result("GET", "/aliases")["aliases"][0]["collection_name"] == MIXED
    with grpc_client(second) as client:
        assert client.count("current").count == len(expected)
    restored = second.health()["restore"]
    assert restored["outcome"] == "restored"
    assert restored["points"] == len(expected)


def test_after_sigterm_everything_is_back_without_a_wait_for_the_writer(fleet: Fleet) -> None:
    """The last backup holds what no backup held, HEAD is clean, and the next instance does not wait a time-out."""
    slow = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60", "HANDOVER_TIMEOUT_SECONDS": "60"}
    first = fleet.start(**slow)
    write_mixed(first)
    before = holdings(first)
    status, seconds = first.terminate()
    assert status == 0
    assert seconds < float(first.settings["SHUTDOWN_BUDGET_SECONDS"])
    assert first.events("shutdown.saved")
    second = fleet.start(**slow)
    assert holdings(second) == before
    assert second.health()["restore"]["forced"] is False


def test_while_restoring_every_request_is_told_to_come_back(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """The port is open before the data is there: 503 with Retry-After in the engine's error shape, or UNAVAILABLE."""
    first = strict_fleet.start()
    write_mixed(first)
    assert first.terminate()[0] == 0
    strict.plan = lambda asked: Wire.SILENCE if "packs" in asked.path and asked.method == "GET" else None
    second = strict_fleet.start(role=None)
    second.wait_for("restoring")
    eventually(lambda: second.health()["role"] == "restoring", 5, "it restores")
    for method, path, body in (
        ("GET", "/collections", None),
        ("POST", f"/collections/{MIXED}/points/scroll", {}),
        ("PUT", f"/collections/{MIXED}/points", {"points": []}),
        ("GET", "/health", None),
    ):
        answer = _answer(second.url, method, path, body)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), (path, answer.text)
        if path != "/health":
            assert answer.json()["status"]["error"]
    with grpc_client(second) as client:
        for call in (lambda: client.count(MIXED), lambda: client.delete_collection(MIXED)):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def _answer(url: str, method: str, path: str, body: object) -> httpx.Response:
    """Return the first answer once something listens."""

    def ask() -> list[httpx.Response]:
        """Ask once; nothing while nothing listens."""
        with contextlib.suppress(httpx.TransportError):
            return [httpx.request(method, url + path, json=body, timeout=10)]
        return []

    return eventually(ask, 5, "the edge answers")[0]
