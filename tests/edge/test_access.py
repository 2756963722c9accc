"""What HAProxy does to headers, and what it answers while the engine is not to be read."""

import asyncio
import json

import aiohttp
import grpc
import pytest

from runtime.errors import RuntimeFailure
from tests.edge.recorder import Answer
from tests.edge.stage import Stage, in_loop, switchboard, until

BLUNTED = "Bearer head.claims.SIGNATURE_REMOVED_BY_GOOGLE"


async def get(stage: Stage, path: str, headers: dict[str, str]) -> None:
    """Send one GET through HAProxy."""
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://127.0.0.1:{stage.port}{path}", headers=headers)


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ({"Authorization": "Bearer qdrant-key"}, "Bearer qdrant-key"),
        ({"Authorization": "Bearer a.jwt.signed"}, "Bearer a.jwt.signed"),
        ({"Authorization": "Bearer google", "api-key": "K"}, None),
        ({"Authorization": BLUNTED}, None),
        ({"Authorization": BLUNTED, "api-key": "K"}, None),
    ],
)
@in_loop
async def test_a_google_token_is_not_taken_for_a_key(sent: dict[str, str], arrives: str | None) -> None:
    """`Authorization` reaches the engine only when it can be Qdrant's own, on reads and at the gate alike."""
    async with switchboard() as stage:
        await get(stage, "/collections", sent)
        await get(stage, "/unknown", sent)
        assert stage.engine.seen[0].header("authorization") == arrives
        assert stage.gate.seen[0].header("authorization") == arrives
        assert stage.engine.seen[0].header("api-key") == sent.get("api-key")


@in_loop
async def test_the_agent_gets_the_tokens_that_it_has_to_check() -> None:
    """For the control routes the caller's token is the point."""
    async with switchboard() as stage:
        await get(stage, "/api/backups", {"Authorization": BLUNTED, "X-Serverless-Authorization": "Bearer t"})
        await get(stage, "/collections", {"X-Serverless-Authorization": "Bearer t"})
        assert stage.agent.seen[0].header("authorization") == BLUNTED
        assert stage.agent.seen[0].header("x-serverless-authorization") == "Bearer t"
        assert stage.engine.seen[0].header("x-serverless-authorization") is None


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"]
)
@in_loop
async def test_headers_that_speak_for_a_proxy_are_dropped(header: str) -> None:
    """No client can tell the engine another address, path or method than its own."""
    async with switchboard() as stage:
        await get(stage, "/collections", {header: "10.0.0.1"})
        assert stage.engine.seen[0].header(header) is None


@in_loop
async def test_a_request_keeps_its_id_and_its_trace() -> None:
    """A sound id is carried to the engine and back, a missing or unsound one is made new."""
    async with switchboard() as stage, aiohttp.ClientSession(f"http://127.0.0.1:{stage.port}") as client:
        trace = {"X-Cloud-Trace-Context": "abc/1;o=1", "traceparent": "00-a-b-01"}
        for sent in ({"X-Request-Id": "mine-1"}, {"X-Request-Id": 'a"b'}, {}):
            async with client.get("/collections", headers=sent | trace) as answer:
                seen = stage.engine.seen[-1]
                assert seen.header("x-request-id") == answer.headers["X-Request-Id"]
                assert (answer.headers["X-Request-Id"] == "mine-1") is ("mine-1" in sent.values())
                assert len(answer.headers["X-Request-Id"]) >= 6
                assert seen.header("x-cloud-trace-context") == "abc/1;o=1"
                assert seen.header("traceparent") == "00-a-b-01"


@in_loop
async def test_reads_wait_for_the_word_that_the_engine_is_ready() -> None:
    """Until the way is opened, and after it is closed, reads get 503 in the engine's shape; the gate is open."""
    async with (
        switchboard(opened=False) as stage,
        aiohttp.ClientSession(f"http://127.0.0.1:{stage.port}") as client,
    ):
        assert await stage.control.listening()
        await refused(client)
        async with client.put("/collections/c") as answer:
            assert answer.headers["x-where"] == "gate"
        await stage.control.open_reads()
        async with client.get("/collections") as answer:
            assert answer.status == 200
        await stage.control.close_reads()
        await refused(client)
        assert len(stage.engine.seen) == 1


async def refused(client: aiohttp.ClientSession) -> None:
    """Check a 503 in the engine's shape."""
    async with client.get("/collections") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"] == "application/json"
        assert "not ready" in json.loads(await answer.read())["status"]["error"]


@in_loop
async def test_calls_before_the_engine_is_ready_are_unavailable() -> None:
    """In gRPC the same answer is a status, not an HTTP error that the client has to guess at."""
    async with (
        switchboard(opened=False) as stage,
        grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary("/qdrant.Points/Query")(b"", timeout=5)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "not ready" in (raised.value.details() or "")
        await stage.control.open_reads()
        assert await channel.unary_unary("/qdrant.Points/Query")(b"", timeout=5) == b"engine"


@in_loop
async def test_an_engine_that_is_gone_is_a_503_within_a_second() -> None:
    """A died engine is told at once, in the engine's shape, also when nobody closed the way."""
    async with switchboard() as stage, aiohttp.ClientSession(f"http://127.0.0.1:{stage.port}") as client:
        stage.engine.close()
        async with asyncio.timeout(2):
            await refused(client)


@in_loop
async def test_a_read_is_sent_again_when_its_connection_was_closed() -> None:
    """The engine closes idle connections; a read that meets a closed one does not fail for it."""
    async with switchboard() as stage, aiohttp.ClientSession(f"http://127.0.0.1:{stage.port}") as client:
        stage.engine.answer = lambda _: Answer(cut=len(stage.engine.seen) == 2)
        for _ in range(2):
            async with client.post("/collections/c/points/search", json={"limit": 1}) as answer:
                assert answer.status == 200
        assert len(stage.engine.seen) == 3


@in_loop
async def test_a_large_read_streams_through() -> None:
    """Answers larger than any buffer arrive whole."""
    async with switchboard() as stage, aiohttp.ClientSession(f"http://127.0.0.1:{stage.port}") as client:
        stage.engine.answer = lambda _: Answer(body=b"x" * 5_000_000, chunked=True)
        async with client.get("/collections/c/snapshots/s") as answer:
            assert len(await answer.read()) == 5_000_000


@in_loop
async def test_a_control_socket_that_is_not_there_is_told_with_its_path() -> None:
    """The supervisor can tell a HAProxy that is not up from one that is."""
    async with switchboard() as stage:
        control = stage.control
    assert not await control.listening()
    with pytest.raises(RuntimeFailure, match="does not answer on"):
        await control.open_reads()


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        ("0123456789abcdef0123456789abcdef/1;o=1", "projects/a-project/traces/0123456789abcdef0123456789abcdef"),
        ('"},{"x":"0123456789abcdef0123456789abcdef/1', "-"),
    ],
)
@in_loop
async def test_a_failure_at_the_edge_is_logged_with_its_request_and_trace(sent: str, trace: str) -> None:
    """HAProxy's own line is JSON and names the request and, when Google sent one, the trace."""
    async with switchboard(opened=False) as stage:
        await get(stage, "/collections", {"x-request-id": "mine", "x-cloud-trace-context": sent})
        log = stage.config.control.with_name("haproxy.log")
        await until(lambda: "edge.request_failed" in log.read_text())
        line = json.loads(next(line for line in log.read_text().splitlines() if "edge.request_failed" in line))

    assert (line["status"], line["request_id"], line["logging.googleapis.com/trace"]) == (503, "mine", trace)
