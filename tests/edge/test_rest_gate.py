"""The gate's REST side between a real client and a recording engine."""

import asyncio
import gzip
import json

import pytest
from yarl import URL

from runtime.edge.effects import Outcome
from runtime.edge.gate import Gate, Refused
from runtime.edge.rest import outcome_of
from tests.edge.recorder import Answer
from tests.edge.stage import gate_stage, in_loop
from tests.edge.test_gate import always, open_gate

UPSERT = "/collections/c/points?wait=true"


@in_loop
async def test_a_write_is_carried_byte_for_byte_and_counted() -> None:
    """Path, query, headers and body reach the engine as sent; its answer comes back as it is."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        body = gzip.compress(b'{"points":[]}')
        headers = {"Content-Encoding": "gzip", "api-key": "K", "Connection": "x-hop", "X-Hop": "1"}
        stage.engine.answer = lambda _: Answer(body=gzip.compress(b"{}"), headers=(("content-encoding", "gzip"),))
        target = "//collections//a%20b/points/?wait=true&x=%2F"
        raw = URL(f"http://gate{target}", encoded=True)
        async with client.put(raw, data=body, headers=headers) as answer:
            assert gzip.decompress(await answer.read()) == b"{}"
        seen = stage.engine.seen[0]
        assert (seen.method, seen.target, seen.body) == ("PUT", target, body)
        assert (seen.header("api-key"), seen.header("x-hop"), seen.header("host")) == ("K", None, "gate")
        assert stage.gate.written().points == {"a b": 1}


@in_loop
async def test_a_refused_write_is_told_in_the_shape_of_the_engine() -> None:
    """503, Retry-After, the reason; the engine never hears of it, however large the body is."""
    gate = open_gate()
    gate.refuse("draining: another instance takes over", retry_after=3)
    async with gate_stage(gate) as stage, stage.client() as client:
        for body in (b"{}", b"x" * 1_000_000):
            async with client.put(UPSERT, data=body) as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "3"
                told = json.loads(await answer.read())
                assert told == {"status": {"error": "draining: another instance takes over"}, "time": 0.0}
        assert stage.engine.seen == []
        assert gate.in_flight == 0


@in_loop
async def test_a_success_is_not_told_when_leadership_was_lost_meanwhile() -> None:
    """The second confirmation decides; the write counts all the same."""
    rights = iter([True, False])

    async def once() -> int:
        """Acknowledge the first time only."""
        if not next(rights):
            raise Refused("superseded", retry_after=1)
        return 1

    gate = Gate(once)
    gate.admit()
    async with gate_stage(gate) as stage, stage.client() as client:
        async with client.put(UPSERT, data=b"{}") as answer:
            assert answer.status == 503
        assert len(stage.engine.seen) == 1
        assert gate.written().points == {"c": 1}


@in_loop
async def test_garbage_gets_the_answer_of_the_engine() -> None:
    """Status, headers and body of a refusal are the engine's own."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        stage.engine.answer = lambda _: Answer(status=400, body=b"no", headers=(("x-why", "json"),))
        async with client.put(UPSERT, data=b"{{{") as answer:
            assert (answer.status, await answer.read(), answer.headers["x-why"]) == (400, b"no", "json")


@in_loop
async def test_reads_and_snapshots_pass_while_writes_are_refused_or_held() -> None:
    """What HAProxy was unsure of and what changes nothing go on without a place."""
    gate = Gate(always)
    async with gate_stage(gate) as stage, stage.client() as client:
        for method, path in (("GET", "//collections/"), ("POST", "/collections/c/snapshots")):
            async with client.request(method, path) as answer:
                assert answer.status == 200
        assert (len(stage.engine.seen), gate.refused_count, gate.written().total) == (2, 0, 0)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
@in_loop
async def test_a_write_whose_connection_is_cut_is_not_sent_twice(method: str) -> None:
    """It counts as one that may have been applied, and the client is told so."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        async with client.request(method, "/collections/c/unknown") as answer:
            assert answer.status == 200
        stage.engine.answer = lambda _: Answer(cut=True)
        async with client.request(method, "/collections/c/unknown") as answer:
            assert answer.status == 502
            assert "may have been applied" in json.loads(await answer.read())["status"]["error"]
        assert len(stage.engine.seen) == 2
        assert (stage.gate.in_flight, stage.gate.written().everything) == (0, 2)


@in_loop
async def test_an_engine_that_is_not_there_was_not_written_to() -> None:
    """A refused connection changed nothing: 503, and no mark."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        stage.engine.close()
        async with client.put(UPSERT, data=b"{}") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
        assert (stage.gate.in_flight, stage.gate.written().total) == (0, 0)


@in_loop
async def test_a_large_answer_is_streamed() -> None:
    """An answer larger than any buffer comes through whole, with its length."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        stage.engine.answer = lambda _: Answer(body=b"z" * 3_000_000)
        async with client.get("//collections/c/snapshots/s") as answer:
            assert (answer.content_length, len(await answer.read())) == (3_000_000, 3_000_000)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.APPLIED),
        (202, Outcome.APPLIED),
        (400, Outcome.REFUSED),
        (401, Outcome.UNTOUCHED),
        (403, Outcome.DENIED),
        (404, Outcome.REFUSED),
        (405, Outcome.UNTOUCHED),
        (413, Outcome.UNTOUCHED),
        (422, Outcome.REFUSED),
        (429, Outcome.LIMITED),
        (302, Outcome.UNANSWERED),
        (500, Outcome.UNANSWERED),
        (503, Outcome.UNANSWERED),
    ],
)
def test_a_status_says_how_far_a_write_got(status: int, outcome: Outcome) -> None:
    """Only what cannot have touched data is UNTOUCHED; doubt is UNANSWERED."""
    assert outcome_of(status) is outcome


@in_loop
async def test_a_header_that_is_no_text_fails_only_its_own_request() -> None:
    """Bytes that cannot be carried are told as such or carried; the place is given back either way."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        reader, writer = await asyncio.open_unix_connection(stage.rest)
        writer.write(f"PUT {UPSERT} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nX: ".encode() + b"\xff\r\n\r\n{}")
        assert (await asyncio.wait_for(reader.readline(), 5)).split()[1] in {b"200", b"400"}
        writer.close()
        assert stage.gate.in_flight == 0
        async with client.put(UPSERT, data=b"{}") as answer:
            assert answer.status == 200
