"""The gate's gRPC side between a real client and a recording engine."""

import asyncio

import grpc
import pytest

from runtime.edge.effects import Outcome
from runtime.edge.gate import Gate, Refused
from runtime.edge.rpc import outcome_of
from tests.edge.stage import gate_stage, in_loop, until
from tests.edge.test_gate import always, open_gate
from tests.edge.test_rpc_routes import upsert

UPSERT = "/qdrant.Points/Upsert"
QUERY = "/qdrant.Points/Query"


@in_loop
async def test_a_call_is_carried_byte_for_byte_and_counted() -> None:
    """Message, metadata, deadline and trailers go through; the collection is marked."""
    async with gate_stage(open_gate()) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        sent = (("api-key", "K"), ("x-request-id", "r1"), ("some-bin", b"\x00\xff"))
        call = channel.unary_unary(UPSERT)(upsert("c"), timeout=20, metadata=sent)
        assert await call == b"engine"
        method, request, metadata, remaining = stage.engine_rpc.seen[0]
        assert (method, request) == (UPSERT, upsert("c"))
        assert {key: metadata[key] for key, _ in sent} == dict(sent)
        assert remaining is not None
        assert 10 < remaining < 21
        assert ("x-trailer", "kept") in list(await call.trailing_metadata())
        assert stage.gate.written().points == {"c": 1}


@in_loop
async def test_a_message_of_many_megabytes_goes_through() -> None:
    """The engine sets no limit on a message, so neither does the gate."""
    async with (
        gate_stage(open_gate()) as stage,
        grpc.aio.insecure_channel(stage.rpc, options=(("grpc.max_send_message_length", -1),)) as channel,
    ):
        message = upsert("c", 0) + b"\x1a\x80\x80\x80\x20" + bytes(64 * 1024 * 1024)
        assert await channel.unary_unary(UPSERT)(message, timeout=60) == b"engine"
        assert len(stage.engine_rpc.seen[0][1]) == len(message)
        assert stage.gate.written().points == {"c": 1}


@in_loop
async def test_a_compressed_call_is_read_like_any_other() -> None:
    """Compression is taken off by gRPC before the gate looks for the name."""
    async with (
        gate_stage(open_gate()) as stage,
        grpc.aio.insecure_channel(stage.rpc, compression=grpc.Compression.Gzip) as channel,
    ):
        assert await channel.unary_unary(UPSERT)(upsert("c", 50)) == b"engine"
        assert stage.gate.written().points == {"c": 1}


@in_loop
async def test_a_refused_call_is_unavailable_with_its_reason() -> None:
    """The client hears why and when to come back; the engine hears nothing."""
    gate = open_gate()
    gate.refuse("draining", retry_after=3)
    async with gate_stage(gate) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(UPSERT)(upsert("c"))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert raised.value.details() == "draining"
        assert ("retry-after", "3") in list(raised.value.trailing_metadata())
        assert stage.engine_rpc.seen == []


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
    async with gate_stage(gate) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="superseded"):
            await channel.unary_unary(UPSERT)(upsert("c"))
        assert len(stage.engine_rpc.seen) == 1
        assert gate.written().points == {"c": 1}


@pytest.mark.parametrize(
    ("code", "marks"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.UNAUTHENTICATED, 0),
        (grpc.StatusCode.UNIMPLEMENTED, 0),
    ],
)
@in_loop
async def test_a_status_of_the_engine_is_passed_on(code: grpc.StatusCode, marks: int) -> None:
    """Code, words and trailers are the engine's; what may have changed is counted."""
    async with gate_stage(open_gate()) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        stage.engine_rpc.status = code
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(UPSERT)(upsert("c"))
        assert (raised.value.code(), raised.value.details()) == (code, "so told")
        assert ("x-trailer", "kept") in list(raised.value.trailing_metadata())
        assert stage.gate.written().total == marks
        assert stage.gate.in_flight == 0


@in_loop
async def test_reads_and_snapshots_pass_while_writes_are_refused() -> None:
    """What changes nothing goes on without a place."""
    async with gate_stage(Gate(always)) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        for method in (QUERY, "/qdrant.Snapshots/Create"):
            assert await channel.unary_unary(method)(b"") == b"engine"
        assert (stage.gate.refused_count, stage.gate.written().total) == (0, 0)


@in_loop
async def test_a_call_that_is_given_up_leaves_no_place_behind() -> None:
    """A client's deadline or hang-up ends the call; the write counts, because it may have been applied."""
    gate = open_gate()
    async with gate_stage(gate) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        stage.engine_rpc.hold = asyncio.Event()
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(UPSERT)(upsert("c"), timeout=0.3)
        await until(lambda: gate.in_flight == 0)
        call = channel.unary_unary(UPSERT)(upsert("d"))
        await until(lambda: gate.in_flight == 1)
        call.cancel()
        await until(lambda: gate.in_flight == 0)
        assert gate.written().points == {"c": 1, "d": 1}
        stage.engine_rpc.hold.set()


@in_loop
async def test_an_engine_that_is_not_there_is_unavailable() -> None:
    """The client is told to come back, soon and not after a long wait."""
    async with gate_stage(open_gate()) as stage, grpc.aio.insecure_channel(stage.rpc) as channel:
        await stage.engine_rpc.close()
        async with asyncio.timeout(5):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(UPSERT)(upsert("c"))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_every_status_says_how_far_a_write_got() -> None:
    """Only what cannot have touched data is UNTOUCHED; doubt is UNANSWERED."""
    untouched = {code for code in grpc.StatusCode if outcome_of(code) is Outcome.UNTOUCHED}

    assert untouched == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}
    assert outcome_of(grpc.StatusCode.OK) is Outcome.APPLIED
    assert outcome_of(grpc.StatusCode.PERMISSION_DENIED) is Outcome.DENIED
    assert outcome_of(grpc.StatusCode.RESOURCE_EXHAUSTED) is Outcome.LIMITED
    for code in ("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL", "UNKNOWN", "ABORTED", "DATA_LOSS"):
        assert outcome_of(grpc.StatusCode[code]) is Outcome.UNANSWERED
