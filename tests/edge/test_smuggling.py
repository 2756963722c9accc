"""Requests made to be read differently by HAProxy and by what is behind it."""

import pytest

from runtime.edge.rest_routes import classify_rest
from tests.edge import h2wire
from tests.edge.stage import Stage, in_loop, raw, switchboard

READ = "POST /collections/c/points/search HTTP/1.1\r\nHost: h\r\n"
HIDDEN = "PUT /collections/c/points HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
CHUNK = f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"


def only_reads_reached(stage: Stage) -> bool:
    """Tell whether the engine saw nothing but reads."""
    return all(classify_rest(seen.method, seen.target) is None for seen in stage.engine.seen)


@pytest.mark.parametrize(
    "wire",
    [
        f"{READ}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        f"{READ}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{CHUNK}",
        f"{READ}Content-Length: 0\r\nContent-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}",
        f"{READ}Content-Length: 0, {len(HIDDEN)}\r\n\r\n{HIDDEN}",
        f"{READ}Content-Length: +{len(HIDDEN)}\r\n\r\n{HIDDEN}",
        f"{READ}Transfer-Encoding: xchunked\r\n\r\n{CHUNK}",
        f"{READ}Transfer-Encoding : chunked\r\n\r\n{CHUNK}",
        f"{READ}Transfer-Encoding: chunked, identity\r\n\r\n{CHUNK}",
        f"{READ}Transfer-Encoding:\x0bchunked\r\n\r\n{CHUNK}",
        f"{READ}X: y\r\n Content-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}",
        f"{READ}Content-Length: {len(HIDDEN)}\r\nConnection: content-length\r\n\r\n{HIDDEN}",
        f"{READ}Transfer-Encoding: chunked\r\n\r\n1;a=\r\n\r\n0\r\n\r\n{HIDDEN}",
        f"GET /collections HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n{HIDDEN}",
        f"GET /collections HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n{HIDDEN}",
        f"GET /collections HTTP/1.0\r\nHost: h\r\nContent-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}",
        "GET /collections HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: PUT\r\n\r\n",
        "GET /collections\x00/c HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /collections/c\tPUT HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
@in_loop
async def test_no_second_request_hides_in_a_read(wire: str) -> None:
    """Whatever the framing headers say, the engine gets no write around the gate."""
    async with switchboard() as stage:
        await raw(stage.port, wire.encode("latin-1"))
        assert only_reads_reached(stage), stage.engine.seen
        assert all(seen.header("upgrade") is None for seen in stage.engine.seen)
        assert all(seen.header("x-http-method-override") is None for seen in stage.engine.seen)


BASE = [(b":scheme", b"http"), (b":authority", b"h")]


@pytest.mark.parametrize(
    "headers",
    [
        [(b":method", b"GET"), (b":path", b"/collections/c HTTP/1.1\r\n\r\nPUT /collections/c"), *BASE],
        [(b":method", b"GET /x HTTP/1.1\r\nX: y\r\n\r\nPUT"), (b":path", b"/collections"), *BASE],
        [(b":method", b"PUT"), (b":path", b"/collections/c#/points/search"), *BASE],
        [(b":method", b"PUT"), (b":path", b"*"), *BASE],
        [(b":method", b"PUT"), (b":path", b"collections/c"), *BASE],
        [(b":method", b"PUT"), (b":path", b"http://h/collections/c"), *BASE],
        [(b":method", b"PUT"), (b":path", b""), *BASE],
        [(b":method", b"GET"), (b":method", b"PUT"), (b":path", b"/collections/c"), *BASE],
        [(b":method", b"POST"), (b":path", b"/collections/c/points/search"), (b":path", b"/collections"), *BASE],
        [(b":method", b"CONNECT"), (b":authority", b"127.0.0.1:6333")],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":path", b"/collections/c"), *BASE],
        [(b":method", b"POST"), (b":path", b"/collections/c/points/search"), *BASE, (b"transfer-encoding", b"chunked")],
        [(b":method", b"POST"), (b":path", b"/collections/c/points/search"), *BASE, (b"content-length", b"3")],
        [(b":method", b"GET"), (b":path", b"/collections"), *BASE, (b"x", b"y\r\n\r\nPUT /collections/c HTTP/1.1")],
        [(b":method", b"GET"), (b":path", b"/collections"), *BASE, (b"x: y\r\nz", b"1")],
        [(b":method", b"GET"), (b":path", b"/collections"), *BASE, (b"Connection", b"upgrade")],
        [(b":method", b"GET"), (b":path", b"/collections"), *BASE, (b"connection", b"x-request-id, host")],
    ],
)
@in_loop
async def test_no_write_comes_out_of_an_odd_http2_request(headers: list[tuple[bytes, bytes]]) -> None:
    """Pseudo-headers that mean something in HTTP/1.1 do not become a request of their own."""
    async with switchboard() as stage:
        await h2wire.send(stage.port, headers, HIDDEN.encode() if len(headers) > 4 else None)
        assert only_reads_reached(stage), stage.engine.seen
        assert all(seen.target.startswith("/") for seen in stage.engine.seen + stage.gate.seen)


@in_loop
async def test_the_hand_made_http2_is_understood() -> None:
    """The odd requests fail for what is odd in them, not because nothing of the kind gets through."""
    async with switchboard() as stage:
        await h2wire.send(stage.port, [(b":method", b"GET"), (b":path", b"/collections"), *BASE])
        await h2wire.send(stage.port, [(b":method", b"PUT"), (b":path", b"/collections/c"), *BASE], b"{}")
        assert [seen.target for seen in stage.engine.seen] == ["/collections"]
        assert [(seen.method, seen.body) for seen in stage.gate.seen] == [("PUT", b"{}")]
