"""Keys: needed for data and control, never to be seen."""

import json
import socket
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from qdrant_client import grpc as wire

from runtime.edge import rest_routes
from tests.support.instances import Fleet
from tests.support.workload import of

PATIENT = {"HANDOVER_TIMEOUT_SECONDS": "10"}
# What Qdrant answers to anybody: its version, and whether it is there.
OPEN = {"", "healthz", "livez", "readyz"}
KEY = "key-that-writes-4711"
READ_ONLY = "key-that-reads-0815"


def test_data_and_control_need_the_key_and_health_does_not(fleet: Fleet) -> None:
    """Without a key 401, with the read-only key reads alone, with the key everything; /health is open."""
    instance = fleet.start(QDRANT_API_KEY=KEY, QDRANT_READ_ONLY_API_KEY=READ_ONLY)
    schema = {"vectors": {"size": 2, "distance": "Dot"}}
    points = {"points": [{"id": 1, "vector": [1, 1]}]}

    def status(method: str, path: str, body: object = None, key: str | None = None, **headers: str) -> int:
        """Return the status of one request."""
        more = {"api-key": key} if key else {}
        return instance.ask(method, path, body, headers={**more, **headers}).status_code

    assert status("PUT", of("c"), schema) == 401
    assert status("PUT", of("c"), schema, READ_ONLY) in {401, 403}
    assert status("PUT", of("c"), schema, KEY) == 200
    assert status("PUT", of("c", "points?wait=true"), points, None, authorization=f"Bearer {KEY}") == 200
    assert status("GET", "/collections") == 401
    assert status("GET", "/collections", None, READ_ONLY) == 200
    assert status("POST", of("c", "points/count"), {"exact": True}, READ_ONLY) == 200
    assert status("POST", of("c", "points/delete"), {"points": [1]}, READ_ONLY) in {401, 403}
    for base in (instance.url, instance.agent):
        for method, path in (("POST", "/api/snapshot"), ("GET", "/api/backups")):
            assert httpx.request(method, base + path).status_code == 401
            assert httpx.request(method, base + path, headers={"api-key": "wrong"}).status_code == 401
            assert httpx.request(method, base + path, headers={"api-key": KEY}).status_code == 200
        assert httpx.get(f"{base}/health").status_code == 200
    second = fleet.start(QDRANT_API_KEY=KEY, QDRANT_READ_ONLY_API_KEY=READ_ONLY)
    counted = second.ask("POST", of("c", "points/count"), {"exact": True}, headers={"api-key": KEY})
    assert counted.json()["result"]["count"] == 1


def test_no_route_of_qdrant_is_open_without_the_key_nor_writes_with_the_one_for_reading(fleet: Fleet) -> None:
    """Every route there is, and twisted forms of each: snapshots, recovery, telemetry and metrics included."""
    instance = fleet.start(QDRANT_API_KEY=KEY, QDRANT_READ_ONLY_API_KEY=READ_ONLY, **PATIENT)
    full = {"api-key": KEY}
    schema = {"vectors": {"size": 2, "distance": "Dot"}}
    points = {"points": [{"id": number, "vector": [1, 1]} for number in range(5)]}
    assert instance.ask("PUT", of("c"), schema, headers=full).status_code == 200
    assert instance.ask("PUT", of("c", "points?wait=true"), points, headers=full).status_code == 200
    opened, wrote = [], []
    for route in rest_routes.ROUTES:
        plain = route.path.replace("{c}", "c").replace("**", "x").replace("*", "0")
        for path in (plain, f"/{plain}", f"{plain}/", f"{plain}?api_key={KEY}", plain.replace("/c", "/%63")):
            if path.split("?")[0].strip("/") not in OPEN and not plain.startswith("/dashboard"):
                for headers in ({}, {"api-key": "wrong"}, {"authorization": f"Basic {KEY}"}):
                    status = instance.ask(route.method, path, headers=headers).status_code
                    opened += [(route.method, path, status)] if status < 400 else []
            if route.effect is not None:
                status = instance.ask(route.method, path, points, headers={"api-key": READ_ONLY}).status_code
                wrote += [(route.method, path, status)] if status < 400 else []
    assert opened == []
    assert wrote == []
    counted = instance.ask("POST", of("c", "points/count"), {"exact": True}, headers=full)
    assert counted.json()["result"]["count"] == 5


def test_no_key_is_seen_in_logs_arguments_health_or_files(fleet: Fleet) -> None:
    """Not in what it prints at any level, not in any process's arguments, not in the bucket, not in an answer."""
    instance = fleet.start(QDRANT_API_KEY=KEY, QDRANT_READ_ONLY_API_KEY=READ_ONLY, LOG_LEVEL="DEBUG")
    headers = {"api-key": KEY}
    schema = {"vectors": {"size": 2, "distance": "Dot"}}
    assert instance.ask("PUT", of("c"), schema, headers=headers).status_code == 200
    instance.ask("GET", "/collections", headers={"authorization": f"Bearer {READ_ONLY}"})
    instance.ask("POST", of("c", "points/query"), {"query": KEY}, headers=headers)
    assert httpx.post(f"{instance.agent}/api/snapshot", headers=headers).status_code == 200
    processes = [psutil.Process(instance.process.pid), *psutil.Process(instance.process.pid).children(recursive=True)]
    assert len(processes) == 3
    seen = [" ".join(process.cmdline()) for process in processes]
    seen += [str(instance.health()), httpx.get(f"{instance.agent}/status").text]
    assert instance.terminate()[0] == 0
    seen += [instance.output, *(path.read_text(errors="replace") for path in _files(fleet.bucket))]
    for key in (KEY, READ_ONLY):
        assert not [text for text in seen if key in text]


def test_a_key_in_a_write_that_is_refused_goes_no_further(fleet: Fleet) -> None:
    """Somebody sends a key where a value belongs: whoever refuses the write, no log or page repeats it."""
    keys = {"QDRANT_API_KEY": KEY, "QDRANT_READ_ONLY_API_KEY": READ_ONLY}
    rarely = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60", "HANDOVER_TIMEOUT_SECONDS": "3"}
    settings = {**keys, **rarely, "LOG_LEVEL": "DEBUG"}
    instance = fleet.start(**settings)
    full = {"api-key": KEY}
    assert instance.ask("PUT", of("c"), {"vectors": {"size": 2, "distance": "Dot"}}, headers=full).status_code == 200
    said = {"id": 1, "vector": [1, 1], "payload": {"said": f"{KEY} {READ_ONLY}"}}
    points = of("c", "points?wait=true")

    def refused(**request: Any) -> None:
        """Send a write that is to be refused, with the keys in its body."""
        answer = instance.http.request(url=instance.url + request.pop("path", points), **{"method": "PUT", **request})
        assert 400 <= answer.status_code < 600, answer.text

    # One that Qdrant dies of: a backup follows it. What is refused after that is in the journal, to be refused again.
    instance.children()["engine"].suspend()
    with pytest.raises(httpx.ReadTimeout):
        instance.ask("PUT", points, {"points": [said]}, headers=full, timeout=2)
    instance.children()["engine"].kill()
    instance.event("engine.exited")
    instance.wait_for("writer")
    refused(headers=full, json={"points": [{**said, "vector": [1, 1, 1]}]})
    refused(headers=full, json={"points": [{**said, "vector": KEY}]})
    refused(headers=full, json={"points": [{**said, "id": KEY}]})
    refused(headers=full, json={"points": [said]}, path=of("missing", "points"))
    refused(headers=full, content=f'{{"points": [{{"id": 1, "vector": {KEY}')
    refused(headers=full, json={"vectors": {"size": KEY, "distance": READ_ONLY}}, path=of("new"))
    refused(headers=full, json={"actions": [{KEY: READ_ONLY}]}, path="/collections/aliases", method="POST")
    refused(headers=full, json={"points": [said]}, path=of("c", KEY))
    refused(json={"points": [said]})
    refused(headers={"api-key": READ_ONLY}, json={"points": [said]})
    vectors = wire.Vectors(vector=wire.Vector(data=[1, 1, 1]))
    point = wire.PointStruct(id=wire.PointId(num=1), vectors=vectors, payload={"said": wire.Value(string_value=KEY)})
    request = wire.UpsertPoints(collection_name="c", points=[point], wait=True)
    with grpc.insecure_channel(f"127.0.0.1:{instance.port}") as channel:
        stub = wire.PointsStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError):
            stub.Upsert(request, metadata=(("api-key", KEY),), timeout=20)
    # Cut off in its midst.
    with socket.create_connection(("127.0.0.1", instance.port)) as connection:
        head = f"PUT {points} HTTP/1.1\r\nHost: h\r\napi-key: {KEY}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + json.dumps(said).encode())
    told = ("/health", "/status", "/api/metrics", "/api/backups")
    seen = [httpx.get(f"{instance.agent}{path}", headers=full).text for path in told]
    instance.kill()
    second = fleet.start(**settings)
    assert second.event("replay.finished")["records"] >= 4, "they were refused again"
    seen += [httpx.get(f"{second.agent}{path}", headers=full).text for path in told]
    assert second.terminate()[0] == 0
    seen += [instance.output, second.output]
    for key in (KEY, READ_ONLY):
        assert not [text[max(0, text.index(key) - 300) :][:600] for text in seen if key in text]


def _files(folder: Path) -> list[Path]:
    """Return every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
