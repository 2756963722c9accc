"""Servers that remember what reached them: the engine, the agent and the gate, without any of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass
class Answer:
    """What to answer; `cut` closes the connection without an answer."""

    status: int = 200
    body: bytes = b'{"result":true,"status":"ok","time":0.0}'
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    cut: bool = False
    chunked: bool = False


@dataclass
class Recorder:
    """An HTTP/1.1 server that says its name in `x-where` and keeps what it was sent.

    `early` is answered to a head, before its body was read; `hold` keeps answers back until it is set.
    """

    name: str
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[Seen], Answer] = lambda _: Answer()
    early: Answer | None = None
    hold: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def listen(self, *, path: Path | None = None) -> int:
        """Listen on a unix socket, or on a free port, which is returned."""
        if path is not None:
            self._server = await asyncio.start_unix_server(self._connection, path)
            return 0
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            if self.early is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_wire(self.early, self.name, head=False))
                await writer.drain()
                return
            while (request := await _read(reader)) is not None:
                self.seen.append(request)
                self.arrived.set()
                if self.hold is not None:
                    await self.hold.wait()
                answer = self.answer(request)
                if answer.cut:
                    break
                writer.write(_wire(answer, self.name, head=request.method == "HEAD"))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    """Return the next request, or None at the end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]
    named = dict(headers)
    body = b""
    if "chunked" in named.get("transfer-encoding", ""):
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(named.get("content-length", "0")))
    return Seen(method, target, headers, body)


def _wire(answer: Answer, where: str, *, head: bool) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {answer.status} Whatever", f"x-where: {where}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if answer.chunked:
        size = f"{len(answer.body):x}\r\n".encode()
        body = size + answer.body + b"\r\n0\r\n\r\n"
        lines.append("transfer-encoding: chunked")
    else:
        body = answer.body
        lines.append(f"content-length: {len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head else body)


class RpcRecorder(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A gRPC server that answers any call with its name, or with the status that it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[tuple[str, bytes, dict[str, str | bytes], float | None]] = []
        self.status: grpc.StatusCode = grpc.StatusCode.OK
        self.hold: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def listen(self, address: str = "127.0.0.1:0") -> int:
        """Listen on an address; the port is returned."""
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
        self._server.add_generic_rpc_handlers((self,))
        port: int = self._server.add_insecure_port(address)
        await self._server.start()
        return port

    async def close(self) -> None:
        """Stop listening at once."""
        if self._server is not None:
            await self._server.stop(0)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Answer any method there is."""
        method = handler_call_details.method

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            """Record the call and answer it."""
            metadata = {key.lower(): value for key, value in context.invocation_metadata() or ()}
            self.seen.append((method, request, metadata, context.time_remaining()))
            self.arrived.set()
            if self.hold is not None:
                await self.hold.wait()
            context.set_trailing_metadata((("x-trailer", "kept"),))
            if self.status is not grpc.StatusCode.OK:
                await context.abort(self.status, "so told", (("x-trailer", "kept"),))
            return self.name.encode()

        return grpc.unary_unary_rpc_method_handler(answer)
