"""Somebody who means harm: every form of a request that may be read in two ways, against a whole instance.

What they must not get: anything of the data without a key, a write with the key for reading, and, with any key, a write
that goes around the gate. What the engine holds is asked from the engine itself.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from typing import Any

import grpc
import httpx
import pytest

from runtime.edge import rest_routes, rpc_routes
from runtime.edge.effects import Effect
from tests.edge import h2wire
from tests.edge.stage import raw
from tests.edge.test_haproxy_agrees import SEED, twisted
from tests.support.history import head
from tests.support.instances import REAL_ENGINE, Fleet, Instance
from tests.support.workload import of

KEY = "key-that-writes-4711"
READ_ONLY = "key-that-reads-0815"
KEYS = {"QDRANT_API_KEY": KEY, "QDRANT_READ_ONLY_API_KEY": READ_ONLY}
FULL = {"api-key": KEY}
SCHEMA = {"vectors": {"size": 2, "distance": "Dot"}}
# What nobody may see who has no key.
NAME, SECRET = "hidden-drawer", "what-is-in-it-1234"
GOOGLES = "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl"
BLUNTED = "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImFAYi5jIn0.SIGNATURE_REMOVED_BY_GOOGLE"
WANTED = (
    "/collections",
    of(NAME),
    of(NAME, "points", "1"),
    of(NAME, "snapshots"),
    of(NAME, "shards", "0", "snapshot"),
    of(NAME, "cluster"),
    "/telemetry?details_level=10",
    "/metrics",
    "/cluster",
    "/aliases",
    "/snapshots",
    "/logger",
    "/issues",
    "/api/backups",
    "/api/metrics",
    "/status",
)


def filled(fleet: Fleet, **settings: str) -> Instance:
    """Start an instance with keys and something to hide."""
    instance = fleet.start(**KEYS, **settings)
    points = [{"id": n, "vector": [n, 1], "payload": {"is": SECRET}} for n in range(1, 6)]
    assert instance.ask("PUT", of(NAME), SCHEMA, headers=FULL).status_code == 200
    assert instance.ask("PUT", of(NAME, "points?wait=true"), {"points": points}, headers=FULL).status_code == 200
    return instance


def held(instance: Instance) -> dict[str, Any]:
    """Return what the engine behind an instance holds, in its own words."""
    engine = f"http://127.0.0.1:{instance.settings['QDRANT_HTTP_PORT']}"
    with httpx.Client(base_url=engine, headers=FULL, timeout=30) as http:
        names = [each["name"] for each in http.get("/collections").json()["result"]["collections"]]
        found: dict[str, Any] = {"aliases": http.get("/aliases").json()["result"]}
        for name in names:
            body = {"limit": 1000, "with_vector": True, "with_payload": True}
            found[name] = {
                "points": http.post(of(name, "points", "scroll"), json=body).json()["result"],
                "indexes": http.get(of(name)).json()["result"]["payload_schema"],
            }
    return found


def head_of(method: str, target: str, *lines: str, version: str = "1.1") -> bytes:
    """Return a request without a body, as bytes."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: h", "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def disguises(path: str) -> list[bytes]:
    """Return what may be tried to have a path without its key."""
    bare = path.partition("?")[0]
    targets = [
        path, f"/{path}", f"{bare}/", f"{bare}//", f"/.{path}", f"/%2e{path}", f"/x/..{path}", f"/dashboard/..{path}",
        f"/dashboard/..;{path}", f"/dashboard/%2e%2e{path}", f"/dashboard%2f..{path}", f"/healthz/..{path}",
        f"/health/..{path}", f"/healthz;{path}", f"{bare};a=b", f"{bare}?/healthz", f"{bare}#/healthz", f"{bare}%00",
        f"{bare}%20", f"http://h{path}", f"http://127.0.0.1:6333{path}", f"http://h@127.0.0.1{path}",
        f"{bare}?api_key={KEY[:-1]}", f"{bare}?api-key=", f"/healthz?{path}", f"/livez%3f{path}",
        path.replace("/c", "/C", 1),
        path.replace("/", "\\"), path.replace("/", "%2f"), f"/%2f{path[1:]}", f"//healthz{path}",
    ]  # fmt: skip
    requests = [head_of("GET", target) for target in targets]
    headers: tuple[tuple[str, ...], ...] = (
        ("api-key:",), ("api-key: ", "api-key: "), ("api-key: wrong",), ("api-key: wrong", f"api-key: {KEY[:-1]}"),
        (f"api-key: {KEY[:-1]}",), (f"api-key: {KEY.upper()}",), (f"api-key: {KEY}x",), ("api-key: *",),
        ("Authorization: Bearer",), ("Authorization: Bearer null",), (f"Authorization: {KEY}",),
        (f"Authorization: Bearer {GOOGLES}",), (f"Authorization: Bearer {BLUNTED}",),
        (f"X-Serverless-Authorization: Bearer {GOOGLES}",), (f"Cookie: api-key={KEY}",), (f"api_key: {KEY}",),
        ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"),
        ("X-Original-URL: /healthz", "X-Rewrite-URL: /healthz"), ("X-HTTP-Method-Override: OPTIONS",),
        ("Connection: api-key, authorization",), ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        ("Content-Type: application/grpc",), ("Content-Type: application/grpc-web+proto",),
    )  # fmt: skip
    requests += [head_of("GET", path, *lines) for lines in headers]
    requests += [head_of(method, path) for method in ("HEAD", "OPTIONS", "POST", "TRACE", "get", "FOO", "PROPFIND")]
    requests += [
        head_of("GET", path, version="1.0"),
        head_of("GET", path, version="0.9"),
        f"GET {path}\r\n\r\n".encode(),
    ]
    return requests


async def together(port: int, requests: list[bytes]) -> list[bytes]:
    """Send each on a connection of its own, some at a time; return what came back."""
    turns = asyncio.Semaphore(16)

    async def one(wire: bytes) -> bytes:
        """Wait for a turn, and send one."""
        async with turns:
            return await raw(port, wire)

    return await asyncio.gather(*map(one, requests))


@pytest.mark.timeout(150)
def test_nothing_is_seen_without_a_key_whatever_a_request_looks_like(fleet: Fleet) -> None:
    """A thousand disguises of what is worth asking for: but for what is open to all, each is turned away."""
    instance = filled(fleet)
    sent = [(path, wire) for path in WANTED for wire in disguises(path)]
    answers = asyncio.run(together(instance.port, [wire for _, wire in sent]))
    let_in = [
        (wire, answer)
        for (_, wire), answer in zip(sent, answers, strict=True)
        if answer[9:10] in b"123" and not wire.startswith(b"OPTIONS") and not answer.endswith(b"check passed")
    ]
    assert let_in == []
    assert not [answer for answer in answers if SECRET.encode() in answer]
    assert len(sent) > 900
    # The disguises fail for want of a key, not because nothing of the kind gets through.
    # (404: what the embedded engine has not.)
    with_key = asyncio.run(together(instance.port, [head_of("GET", path, f"api-key: {KEY}") for path in WANTED]))
    assert {answer[9:12] for answer in with_key} <= {b"200", *([] if REAL_ENGINE else [b"404"])}
    assert sum(SECRET.encode() in answer for answer in with_key) >= 1


async def over_http2(port: int, requests: list[list[tuple[bytes, bytes]]]) -> list[bytes]:
    """Send each as a connection's only request."""
    return await asyncio.gather(*(h2wire.send(port, headers, b"{}") for headers in requests))


@pytest.mark.timeout(150)
def test_no_write_goes_around_the_gate_even_with_the_key(fleet: Fleet) -> None:
    """An instance that must not write gets every write there is, in every form: its engine holds what it held."""
    writer = filled(fleet)
    writer.ask("POST", "/api/snapshot", headers=FULL)
    reader = fleet.start(role="standby", INSTANCE_ROLE="reader", **KEYS)
    before = held(reader)
    assert before[NAME]["points"]["points"], "there is something to change"
    chance = random.Random(SEED)
    bodies = (json.dumps({"points": [1]}), json.dumps({"points": [{"id": 99, "vector": [9, 9]}]}), json.dumps(SCHEMA))
    requests, odd = [], []
    for route in rest_routes.ROUTES:
        if route.effect in {None, Effect.NOTHING}:
            continue
        plain = route.path.replace("{c}", NAME).replace("*", "0")
        for target in (plain, f"{plain}?wait=true", *(twisted(plain, chance) for _ in range(4))):
            body = chance.choice(bodies)
            lines = [f"api-key: {KEY}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
            lines += chance.choice(
                [[], ["Content-Type: application/grpc"], ["X-HTTP-Method-Override: GET"], ["Expect: 100-continue"]]
            )
            requests.append(head_of(route.method, target, *lines) + body.encode())
        odd += [
            [(b":method", route.method.encode()), (b":path", path.encode()), *rest, (b"api-key", KEY.encode())]
            for path, rest in (
                (plain, [(b":scheme", b"http"), (b":authority", b"h")]),
                (plain, [(b":scheme", b"http://h/healthz?"), (b":authority", b"h")]),
                (plain[1:], [(b":scheme", b"http"), (b":authority", b"h/healthz#")]),
                (f"{plain}?/points/search", [(b":scheme", b"https"), (b":authority", b"h"), (b"host", b"x")]),
            )
        ]
    hidden = head_of("DELETE", of(NAME), f"api-key: {KEY}")
    for framing in (
        f"Content-Length: 0\r\nContent-Length: {len(hidden)}", "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: \tchunked",
        "Content-Length: 0x0",
        "Transfer-Encoding: chunked\r\nContent-Length: 0", "Content-Length: -1", "Transfer-Encoding\n : chunked",
    ):  # fmt: skip
        head = f"POST {of(NAME, 'points', 'count')} HTTP/1.1\r\nHost: h\r\napi-key: {KEY}\r\n{framing}\r\n\r\n".encode()
        requests += [head + hidden, head + b"0\r\n\r\n" + hidden, head + f"{len(hidden):x}\r\n".encode() + hidden]
    asyncio.run(together(reader.port, requests))
    asyncio.run(over_http2(reader.port, odd))
    for method, effect in WHOLE:
        if effect not in {None, Effect.NOTHING}:
            for form in (method, f"{method}?/qdrant.Points/Count"):
                status = call(reader, form, ("api-key", KEY), message=named(NAME))
                assert status is grpc.StatusCode.UNAVAILABLE, (form, status)
    assert held(reader) == before
    assert len(requests) + len(odd) > 300


def call(instance: Instance, method: str, *metadata: tuple[str, str], message: bytes = b"") -> grpc.StatusCode:
    """Return the status of one gRPC call that carries bytes."""
    with grpc.insecure_channel(f"127.0.0.1:{instance.port}") as channel:
        try:
            channel.unary_unary(method)(message, timeout=20, metadata=metadata)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def named(collection: str) -> bytes:
    """Return a message whose first field is a name, as every request's of a collection is."""
    return b"\x0a" + bytes((len(collection),)) + collection.encode()


DENIED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
WHOLE = rpc_routes.METHODS.items()
UNGUARDED = {"/qdrant.Qdrant/HealthCheck", "/grpc.health.v1.Health/Check"}


@pytest.mark.timeout(150)
def test_grpc_is_closed_without_a_key_and_writes_nothing_with_the_one_for_reading(fleet: Fleet) -> None:
    """Every method there is, with no key, a wrong one, Google's token, and the read-only one."""
    instance = filled(fleet)
    before = held(instance)
    nothing = grpc.StatusCode.UNIMPLEMENTED  # not in this version of the engine
    for method, effect in WHOLE:
        if method in UNGUARDED or "reflection" in method:
            continue
        # A change of aliases has no name where the others have one, and what cannot be read is not asked who sent it.
        message = b"" if effect is Effect.CATALOG else named(NAME)
        for metadata in ((), (("api-key", "wrong"),), (("authorization", f"Bearer {GOOGLES}"),)):
            assert call(instance, method, *metadata, message=message) in DENIED | {nothing}, (method, metadata)
        if effect is not None:
            status = call(instance, method, ("api-key", READ_ONLY), message=message)
            assert status in DENIED | {nothing, grpc.StatusCode.INVALID_ARGUMENT}, (method, status)
    assert held(instance) == before
    count = "/qdrant.Points/Count"
    assert call(instance, count, ("api-key", READ_ONLY), message=named(NAME)) is grpc.StatusCode.OK
    for token in (GOOGLES, BLUNTED):
        beside = (("authorization", f"Bearer {token}"), ("api-key", KEY))
        assert call(instance, count, *beside, message=named(NAME)) is grpc.StatusCode.OK
        assert instance.ask("GET", of(NAME), headers=dict(beside)).status_code == 200
        assert instance.ask("GET", of(NAME), headers={"authorization": f"Bearer {token}"}).status_code in {401, 403}


def signed(claims: dict[str, object], key: str, algorithm: str = "HS256") -> str:
    """Return a JWT."""

    def part(data: bytes) -> str:
        """Return bytes as a JWT has them."""
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = f"{part(json.dumps({'alg': algorithm, 'typ': 'JWT'}).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.new(key.encode(), head.encode(), hashlib.sha256).digest() if algorithm == "HS256" else b""
    return f"{head}.{part(signature)}"


def test_a_jwt_of_qdrants_own_gives_its_rights_to_data_and_none_to_control(fleet: Fleet) -> None:
    """As api-key or as bearer: reads pass, writes and the control routes do not; unsigned or overdue it is nothing."""
    if REAL_ENGINE is None:
        pytest.skip("the embedded engine knows no JWTs: set QDRANT_BIN")
    instance = filled(fleet, QDRANT__SERVICE__JWT_RBAC="true")
    soon = int(time.time()) + 600
    reads = signed({"access": "r", "exp": soon}, KEY)
    elsewhere = signed({"access": [{"collection": "other", "access": "rw"}], "exp": soon}, KEY)
    manages = signed({"access": "m", "exp": soon}, KEY)
    point = {"points": [{"id": 77, "vector": [7, 7]}]}
    for form in ("api-key", "authorization"):

        def asks(token: str, method: str, path: str, body: object = None, form: str = form) -> int:
            """Send one request with a token; return the answer's status."""
            value = token if form == "api-key" else f"Bearer {token}"
            return instance.ask(method, path, body, headers={form: value}).status_code

        assert asks(reads, "GET", of(NAME)) == 200
        assert asks(reads, "PUT", of(NAME, "points?wait=true"), point) in {401, 403}
        assert asks(elsewhere, "GET", of(NAME)) in {401, 403}
        assert asks(elsewhere, "PUT", of(NAME, "points?wait=true"), point) in {401, 403}
        assert asks(manages, "PUT", of(NAME, "points?wait=true"), point) == 200
        for wrong in (
            signed({"access": "m", "exp": soon}, "another key"), signed({"access": "m", "exp": soon}, KEY, "none"),
            signed({"access": "m", "exp": 1}, KEY), signed({"access": "m", "exp": soon}, READ_ONLY),
        ):  # fmt: skip
            assert asks(wrong, "GET", of(NAME)) in {401, 403}
            assert asks(wrong, "PUT", of(NAME, "points?wait=true"), point) in {401, 403}
        for token in (reads, manages):
            for method, path in (("GET", "/status"), ("GET", "/api/backups"), ("POST", "/api/snapshot")):
                assert asks(token, method, path) == 401, path


def test_heads_that_are_too_large_or_too_many_are_refused_and_nothing_else_suffers(fleet: Fleet) -> None:
    """A head beyond any buffer, hundreds of headers, a header block in a thousand frames: refused, and it serves on."""
    instance = filled(fleet)
    sizes = (40_000, 64_000, 70_000, 2_000_000)
    huge = [head_of("GET", "/collections", f"X-Large: {'x' * size}", f"api-key: {KEY}") for size in sizes]
    many = head_of("GET", "/collections", *(f"X-{number}: y" for number in range(500)), f"api-key: {KEY}")
    long = head_of("GET", f"/collections?{'x' * 100_000}", f"api-key: {KEY}")
    pseudo = [(b":method", b"GET"), (b":path", b"/collections"), (b":scheme", b"http"), (b":authority", b"h")]
    block = b"".join(h2wire.literal(*each) for each in pseudo)
    trickle = h2wire.PREFACE + h2wire.frame(h2wire.SETTINGS, 0, 0, b"") + h2wire.frame(h2wire.HEADERS, 1, 1, block)
    trickle += b"".join(h2wire.frame(9, 0, 1, h2wire.literal(b"x", b"y" * 500)) for _ in range(1000))
    answers = asyncio.run(together(instance.port, [*huge, many, long, trickle]))
    for answer in answers:
        first = answer.partition(b"\r\n")[0]
        assert b" 200 " in first or b" 400 " in first or b" 431 " in first or not first.startswith(b"HTTP/1.1"), first
        assert b" 5" not in first[8:12], first
    assert instance.ask("GET", of(NAME), headers=FULL).status_code == 200
    assert not instance.events("haproxy.exited")


def test_who_has_no_key_for_writing_does_not_move_the_lineage(fleet: Fleet) -> None:
    """A standby asks for the lineage for a write that may come to something, and for no other, in either protocol."""
    settings = {"HANDOVER_IDLE_SECONDS": "0", "HANDOVER_TIMEOUT_SECONDS": "10"}
    standby = filled(fleet, **settings)
    writer = fleet.start(**KEYS, **settings)
    standby.wait_for("standby")
    before = head(writer.settings)
    body = {"points": [{"id": 9, "vector": [9, 9]}]}
    path = of(NAME, "points?wait=true")
    for headers in ({}, {"api-key": "wrong"}, {"api-key": READ_ONLY}, {"authorization": f"Bearer {GOOGLES}"}):
        answer = standby.ask("PUT", path, body, headers=headers)
        assert (answer.status_code, "api key" in answer.json()["status"]["error"]) == (401, True), headers
        assert standby.ask("DELETE", "/whatever/there/is", headers=headers).status_code == 401, headers
        status = call(standby, "/qdrant.Points/Upsert", *headers.items(), message=named(NAME))
        assert status is grpc.StatusCode.UNAUTHENTICATED, headers
    assert head(writer.settings) == before
    assert standby.health()["role"] == "standby"
    assert not standby.events("handover.asked")
    moved = standby.ask("PUT", path, body, headers={"authorization": f"Bearer {KEY}"})
    assert moved.status_code == 200, "with the key it does"
    writer.wait_for("standby")
