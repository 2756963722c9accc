"""Bodies on their way through the gate: large, slow, cut, refused at their end, answered early."""

import asyncio
import io
import json

import pytest

from tests.edge.recorder import Answer
from tests.edge.stage import gate_stage, in_loop, until
from tests.edge.test_gate import open_gate

UPSERT = "/collections/c/points?wait=true"


@pytest.mark.parametrize("sized", [True, False])
@in_loop
async def test_a_large_body_is_streamed_whole(*, sized: bool) -> None:
    """A body larger than any buffer arrives unchanged, whether its length was told or not."""
    body = bytes(range(256)) * 20_000

    async def pieces() -> object:
        """Return the body in pieces."""
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    async with gate_stage(open_gate()) as stage, stage.client() as client:
        async with client.put(UPSERT, data=io.BytesIO(body) if sized else pieces()) as answer:
            assert answer.status == 200
        assert stage.engine.seen[0].body == body
        assert stage.gate.written().points == {"c": 1}


@in_loop
async def test_a_slow_upload_takes_its_place_only_at_the_end() -> None:
    """A barrier does not wait for a client that is still sending, and the write then waits for the barrier."""
    gate = open_gate()
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        """Return a body whose end is kept back."""
        yield b"x" * 200_000
        halfway.set()
        await go_on.wait()
        yield b"y"

    async with gate_stage(gate) as stage, stage.client() as client:
        sending = asyncio.create_task(client.put(UPSERT, data=slowly()).__aenter__())
        await halfway.wait()
        async with gate.held(drain_seconds=1) as drained:
            assert drained
            go_on.set()
            await until(lambda: gate.held_count == 1)
            assert stage.engine.seen == []
        answer = await sending
        assert answer.status == 200
        answer.release()
        assert stage.engine.seen[0].body == b"x" * 200_000 + b"y"
        assert (gate.in_flight, gate.written().points) == (0, {"c": 1})


@in_loop
async def test_a_large_write_refused_at_its_end_never_becomes_whole() -> None:
    """The gate closes while the body is on its way: the engine has most of it, but not a request."""
    gate = open_gate()
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        """Return a body whose end is kept back."""
        yield b"x" * 200_000
        halfway.set()
        await go_on.wait()
        yield b"y"

    async with gate_stage(gate) as stage, stage.client() as client:
        sending = asyncio.create_task(client.put(UPSERT, data=slowly()).__aenter__())
        await halfway.wait()
        gate.refuse("draining")
        go_on.set()
        answer = await sending
        assert answer.status == 503
        assert json.loads(await answer.read())["status"]["error"] == "draining"
        assert stage.engine.seen == []
        assert (gate.in_flight, gate.written().total) == (0, 0)


@in_loop
async def test_a_client_that_goes_away_leaves_no_place_behind() -> None:
    """The write is carried to its end, counted, and its place given back."""
    gate = open_gate()
    async with gate_stage(gate) as stage:
        stage.engine.hold = asyncio.Event()
        reader, writer = await asyncio.open_unix_connection(stage.rest)
        writer.write(f"PUT {UPSERT} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await stage.engine.arrived.wait()
        writer.transport.abort()
        assert gate.in_flight == 1
        stage.engine.hold.set()
        await until(lambda: gate.in_flight == 0)
        assert gate.written().points == {"c": 1}
        assert reader is not None


@in_loop
async def test_a_client_that_goes_away_while_sending_changes_nothing() -> None:
    """Half a body is no request: nothing is counted, and no place was taken."""
    gate = open_gate()
    async with gate_stage(gate) as stage, stage.client() as client:
        _, writer = await asyncio.open_unix_connection(stage.rest)
        writer.write(f"PUT {UPSERT} HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n".encode() + b"x" * 300_000)
        await writer.drain()
        writer.transport.abort()
        async with client.put(UPSERT, data=b"{}") as answer:
            assert answer.status == 200
        assert [len(seen.body) for seen in stage.engine.seen] == [2]
        assert (gate.in_flight, gate.written().points) == (0, {"c": 1})


@in_loop
async def test_an_early_answer_to_a_large_body_is_passed_on() -> None:
    """An engine that refuses before it has read everything is heard, and no place is taken any more."""
    gate = open_gate()
    go_on = asyncio.Event()

    async def slowly() -> object:
        """Return a body whose end is kept back."""
        for _ in range(3):
            yield b"x" * 200_000
            await asyncio.sleep(0)
        await go_on.wait()
        yield b"y"

    async with gate_stage(gate) as stage, stage.client() as client:
        stage.engine.early = Answer(status=401, body=b"no", headers=(("connection", "close"),))
        async with client.put(UPSERT, data=slowly()) as answer:
            assert (answer.status, await answer.read()) == (401, b"no")
        go_on.set()
        await until(lambda: gate.in_flight == 0)
        assert gate.written().total == 0


@in_loop
async def test_expect_continue_is_answered_here() -> None:
    """A client that asks before it sends is told to go on, and the engine is not asked."""
    async with gate_stage(open_gate()) as stage, stage.client() as client:
        async with client.put(UPSERT, data=b"{}", expect100=True) as answer:
            assert answer.status == 200
        assert stage.engine.seen[0].header("expect") is None
