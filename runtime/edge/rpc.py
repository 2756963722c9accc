"""The gRPC side of the gate: every call that is not known to be a read, its messages carried as bytes.

Owns the pass-through of metadata, deadlines and status, and what a gRPC status says about a write. Decides
nothing about writes itself: that is the gate's, by way of `passage`. Never decodes a message beyond the
collection's name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Final

import grpc

from runtime.edge.answers import rpc_answer, rpc_refusal
from runtime.edge.effects import Outcome, Write
from runtime.edge.gate import Gate, Refused
from runtime.edge.kept import Kept
from runtime.edge.passage import passage, takes_place
from runtime.edge.recording import Sent
from runtime.edge.rpc_routes import classify_rpc
from runtime.edge.write_key import MISSING

# Cloud Run ends any request after an hour.
LONGEST_ANSWER_SECONDS: Final = 3600.0
CALLS: Final = 1000
# Qdrant sets no limit of its own (tonic's decoding limit is lifted), so none is set here.
_UNLIMITED: Final = -1
_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.enable_retries", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
# Not NOT_FOUND: in a batch it may be the answer to a later operation, the earlier ones applied.
_NOT_REACHED: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_REFUSED: Final = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
# Written by gRPC itself on both sides.
_NOT_CARRIED: Final = frozenset(
    {
        "content-type",
        "grpc-accept-encoding",
        "grpc-timeout",
        "te",  # codespell:ignore te
        "user-agent",
    }
)

Call = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


def outcome_of(code: grpc.StatusCode) -> Outcome:
    """Tell what the engine's status says about a write."""
    if code is grpc.StatusCode.OK:
        return Outcome.APPLIED
    if code in _NOT_REACHED:
        return Outcome.UNTOUCHED
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return Outcome.DENIED
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Outcome.LIMITED
    return Outcome.REFUSED if code in _REFUSED else Outcome.UNANSWERED


class RpcGate:
    """A gRPC server that carries what it is sent through the gate to the engine, `upstream` (`host:port`)."""

    def __init__(self, gate: Gate, upstream: str, resolve: Callable[[str], str], *, address: str) -> None:
        self._gate = gate
        self._upstream = upstream
        self._resolve = resolve
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen on `address` (`unix:/path` or `host:port`)."""
        channel = grpc.aio.insecure_channel(self._upstream, options=CHANNEL_OPTIONS)
        server = grpc.aio.server(options=_SERVER_OPTIONS, maximum_concurrent_rpcs=CALLS)
        server.add_generic_rpc_handlers((_Handlers(self._gate, channel, self._resolve),))
        server.add_insecure_port(self._address)
        await server.start()
        self._channel, self._server = channel, server

    async def stop(self, *, grace_seconds: float) -> None:
        """Stop listening; calls in flight get `grace_seconds`, then end UNANSWERED."""
        if self._server is not None:
            await self._server.stop(grace_seconds)
        if self._channel is not None:
            await self._channel.close()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, gate: Gate, channel: grpc.aio.Channel, resolve: Callable[[str], str]) -> None:
        self._gate = gate
        self._channel = channel
        self._resolve = resolve
        self._under_way: set[asyncio.Task[bytes]] = set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._carrier(handler_call_details.method))

    def _carrier(self, method: str) -> Call:
        forward = self._channel.unary_unary(method)

        async def carry(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            through = self._through(classify_rpc(method, request), method, forward, request, context)
            try:
                return await (through if self._gate.recorder is None else self._to_its_end(through))
            except Refused as refused:
                retry = (("retry-after", str(refused.retry_after)),)
                await context.abort(grpc.StatusCode.UNAVAILABLE, refused.reason, retry)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "", _carried(error.trailing_metadata()))
            raise AssertionError("abort always raises")

        return carry

    async def _to_its_end(self, through: Coroutine[None, None, bytes]) -> bytes:
        """Carry a call to its end though its client goes away: it may be applied, and the journal has to know."""
        call = asyncio.create_task(through)
        self._under_way.add(call)
        call.add_done_callback(self._done)
        return await asyncio.shield(call)

    def _done(self, call: asyncio.Task[bytes]) -> None:
        self._under_way.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waited for it may have gone

    async def _through(
        self,
        write: Write | None,
        method: str,
        forward: grpc.aio.UnaryUnaryMultiCallable,
        request: bytes,
        context: grpc.aio.ServicerContext,
    ) -> bytes:
        if write is None or not takes_place(write):
            return await _forward(forward, request, context)
        if self._gate.write_key.is_missing(context.invocation_metadata() or ()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, MISSING)
        kept = Kept(self._gate.recorder)
        try:
            await kept.add(request)
            async with passage(self._gate, write, self._resolve, Sent("rpc", "", method, kept.body)) as place:
                try:
                    answer = await _forward(forward, request, context, to_its_end=self._gate.recorder is not None)
                except grpc.aio.AioRpcError as error:
                    outcome = outcome_of(error.code())
                    is_refused = outcome is Outcome.REFUSED
                    place.outcome = rpc_refusal(write, error.details() or "") if is_refused else outcome
                    raise
                place.outcome = Outcome.APPLIED
                place.answer = rpc_answer(answer)
        finally:
            kept.release()
        return answer


async def _forward(
    forward: grpc.aio.UnaryUnaryMultiCallable,
    request: bytes,
    context: grpc.aio.ServicerContext,
    *,
    to_its_end: bool = False,
) -> bytes:
    """Carry a call to the engine. `to_its_end`: not the client's deadline ends it, its answer has to be known."""
    remaining = None if to_its_end else context.time_remaining()
    call = forward(
        request,
        timeout=LONGEST_ANSWER_SECONDS if remaining is None else remaining,
        metadata=_carried(context.invocation_metadata()),
    )
    answer: bytes = await call
    if context.done():
        return answer
    if initial := _carried(await call.initial_metadata()):
        await context.send_initial_metadata(initial)
    context.set_trailing_metadata(_carried(await call.trailing_metadata()))
    return answer


def _carried(metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in metadata or () if key not in _NOT_CARRIED)
