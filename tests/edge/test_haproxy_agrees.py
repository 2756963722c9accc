"""A real HAProxy and the table agree: nothing that the engine takes for a write goes around the gate."""

import asyncio
import random
import re
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import grpc
import pytest

from runtime.edge.rest_routes import ROUTES, classify_rest
from runtime.edge.rpc_routes import METHODS
from tests.edge.stage import Stage, in_loop, raw, switchboard

FACTS = Path(__file__).with_name("facts")
BACKUP_PATH = "/api/backups/00000001-0000000002"
AGENT_PATHS = (
    "/health", "/status", "/api/snapshot", "/api/backups", BACKUP_PATH, f"{BACKUP_PATH}/rollback", "/api/verify",
)  # fmt: skip
SEED = 20261122


def facts() -> list[tuple[str, str]]:
    """Return (method, template) of every route of either version."""
    lines = {line for file in FACTS.glob("rest-*.txt") for line in file.read_text().splitlines()}
    return sorted((method, path) for method, path in (line.split(" ") for line in lines))


def filled(template: str) -> str:
    """Return a path with a value in every place of a template."""
    return re.sub(r"\{\w+\}", "v1", template)


def engine_reads_as_write(method: str, target: str) -> bool:
    """Tell whether the engine would run a write: its own reading of a path, written here a second time.

    As measured on 1.19.0: slashes merged, the last one dropped, escapes decoded per segment, a fragment cut
    off, an absolute target reduced to its path, a query ignored, case kept, `;` and dots left alone.
    """
    path = re.sub(r"^https?://[^/]*", "", target).split("?")[0].split("#")[0]
    segments = [unquote(s) for s in (re.sub("/+", "/", path).rstrip("/") or "/").split("/")]
    for known, template in facts():
        parts = template.split("/")
        if known == method and len(parts) == len(segments):
            fits = all(p.startswith("{") or p == s for p, s in zip(parts, segments, strict=True))
            if fits and classify_rest(known, filled(template)) is not None:
                return True
    return False


def twisted(path: str, chance: random.Random) -> str:
    """Return a path with one or two tricks played on it."""
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(path))
        slash = chance.choice([m.start() for m in re.finditer("/", path)] or [0])
        path = chance.choice(
            [
                path[:slash] + "/" + path[slash:],
                path[:slash] + "/./" + path[slash + 1 :],
                path[:slash] + "/%2e%2e/" + path[slash + 1 :],
                path[:slash] + "/x/.." + path[slash:],
                path[:slash] + "%2F" + path[slash + 1 :],
                path[:slash] + "\\" + path[slash + 1 :],
                path[:at] + f"%{ord(path[at]):02x}" + path[at + 1 :],
                path[:at] + f"%25{ord(path[at]):02x}" + path[at + 1 :],
                path[:at] + path[at].swapcase() + path[at + 1 :],
                path + "/",
                path + "//",
                path + ";a=b",
                path + "?a=/points/search",
                path + "?",
                path + "#/points/search",
                path + "/points/search",
                path + "/../points/search",
                path + "%00",
                path + "%3Fx",
                path + "%23",
                path + ".json",
                "http://h" + path,
                "/collections/c/points/search/.." + path,
                "/" + path,
            ]
        )
    return path


async def where(stage: Stage, requests: list[tuple[str, str]]) -> list[str | None]:
    """Return who answered each request, None where HAProxy refused it itself."""
    answers: list[str | None] = []
    reader = writer = None
    for method, target in requests:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        assert reader is not None
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()
        found = re.search(r"\r\nx-where: (\w+)", head)
        length = re.search(r"\r\ncontent-length: (\d+)", head)
        if length and method != "HEAD":
            await reader.readexactly(int(length[1]))
        answers.append(found[1] if found else None)
        if found is None:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    return answers


@in_loop
async def test_plain_reads_go_to_the_engine_and_all_else_to_the_gate() -> None:
    """Each route of either version, in its plain form, goes where the table says."""
    async with switchboard() as stage:
        requests = [(method, filled(path)) for method, path in facts()]
        requests += [("HEAD", path) for method, path in requests if method == "GET"]
        requests += [("GET", "/dashboard"), ("GET", "/dashboard/assets/index-1.js"), ("OPTIONS", "/collections/c")]
        expected = ["engine" if classify_rest(*r) is None else "gate" for r in requests]
        assert list(zip(requests, await where(stage, requests), strict=True)) == list(
            zip(requests, expected, strict=True)
        )


@in_loop
async def test_a_read_with_a_name_that_needs_escapes_still_goes_straight() -> None:
    """Escapes are allowed where a name stands: such collections are searched at full speed, too."""
    async with switchboard() as stage:
        requests = [("POST", f"/collections/{name}/points/search") for name in ("a%20b", "%C3%A9t%C3%A9", "a+b~c")]
        requests.append(("GET", "/collections/c?x=/points"))
        assert set(await where(stage, requests)) == {"engine"}


@in_loop
async def test_no_twisted_path_takes_a_write_around_the_gate() -> None:
    """Thousands of twisted paths: what goes straight is a read to the table and to the engine's own reading."""
    chance = random.Random(SEED)
    paths = [filled(path) for _, path in facts()]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    requests = [(chance.choice(methods), twisted(chance.choice(paths), chance)) for _ in range(4000)]
    async with switchboard() as stage:
        answers = await where(stage, requests)
    straight = [r for r, answer in zip(requests, answers, strict=True) if answer == "engine"]
    assert len(straight) > 400
    assert [r for r in straight if engine_reads_as_write(*r)] == []
    assert [r for r in straight if r[1].startswith("/") and classify_rest(*r) is not None] == []
    assert answers.count("gate") > 1000


@in_loop
async def test_the_engine_sees_a_path_without_scheme_and_host() -> None:
    """An absolute target reaches every server as a path, so that all read the same thing."""
    async with switchboard() as stage:
        requests = [("GET", "http://h/collections"), ("PUT", "http://h/collections/c")]
        assert await where(stage, requests) == ["engine", "gate"]
        assert stage.engine.seen[0].target == "/collections"
        assert stage.gate.seen[0].target == "/collections/c"


@in_loop
async def test_the_agent_gets_its_own_paths_and_no_others() -> None:
    """Probes are on the other port only, and no trick opens them on this one."""
    async with switchboard() as stage:
        assert set(await where(stage, [("GET", p) for p in AGENT_PATHS])) == {"agent"}
        others: tuple[str, ...] = (
            "/startup",
            "/live",
            "/api/../startup",
            "/api/%2e%2e/live",
            "/api//startup",
            "/api/x/../../live",
        )
        others += ("/api", "/api/", "/Health", "/health/", "//health", "/health;x", "/statusx", "/api/.%2e/startup")
        assert set(await where(stage, [("GET", p) for p in others])) == {"gate"}
        assert stage.agent.seen[-1].target == AGENT_PATHS[-1]


@in_loop
async def test_other_methods_are_refused_in_the_shape_of_the_engine() -> None:
    """CONNECT, TRACE and inventions end at HAProxy."""
    async with switchboard() as stage:
        for method in ("TRACE", "LINK", "put", "FOO"):
            answer = await raw(
                stage.port, f"{method} /collections HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
            )
            assert answer.startswith(b"HTTP/1.1 405"), answer
            assert b'{"status":{"error":"' in answer
        await raw(stage.port, b"CONNECT 127.0.0.1:6333 HTTP/1.1\r\nHost: 127.0.0.1:6333\r\n\r\n")
        assert stage.engine.seen == stage.gate.seen == stage.agent.seen == []


RPC_TRICKS = [
    "/qdrant.Points/Upsert?x=/qdrant.Points/Query",
    "/qdrant.Points/Query/",
    "//qdrant.Points/Query",
    "/qdrant.Points/query",
    "/qdrant.Points/%51uery",
    "/qdrant.Points/Query/../Upsert",
    "/qdrant.Points/Upsert#/qdrant.Points/Query",
    "/qdrant.PointsInternal/Upsert",
    "/collections/c/points/search",
]


@in_loop
async def test_known_reads_of_grpc_go_straight_and_all_else_to_the_gate() -> None:
    """Each method goes where the table says, and only its exact name is known."""
    async with switchboard() as stage, grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        for method, effect in METHODS.items():
            answer = await channel.unary_unary(method)(b"", timeout=5)
            assert answer.decode() == ("engine" if effect is None else "gate"), method
        for method in RPC_TRICKS:
            try:
                assert await channel.unary_unary(method)(b"", timeout=5) == b"gate", method
            except grpc.aio.AioRpcError as error:
                assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, method  # noqa: PT017
        assert {method for method, *_ in stage.engine_rpc.seen} == {m for m, e in METHODS.items() if e is None}


@pytest.mark.parametrize(
    "content_type",
    ["application/grpc", "application/grpc+proto", "APPLICATION/GRPC", "application/grpc;a=b"],
)
@in_loop
async def test_a_rest_write_that_claims_to_be_grpc_reaches_no_engine(content_type: str) -> None:
    """The kind of a request decides the server, and each side knows its own reads only."""
    async with switchboard() as stage:
        for method, double in product(("PUT", "POST", "DELETE"), (False, True)):
            lines = [f"Content-Type: {content_type}"] + ["Content-Type: application/json"] * double
            head = "\r\n".join([f"{method} /collections/c/points HTTP/1.1", "Host: h", *lines])
            await raw(stage.port, f"{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        assert [s for s in stage.engine.seen if classify_rest(s.method, s.target) is not None] == []
        assert stage.engine_rpc.seen == []


def test_every_read_of_the_table_is_of_a_method_that_haproxy_knows_reads_of() -> None:
    """HAProxy's lists are made for GET and POST; a read of another method would silently go to the gate."""
    assert {route.method for route in ROUTES if route.effect is None} == {"GET", "POST"}
