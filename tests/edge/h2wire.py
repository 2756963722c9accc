"""HTTP/2 by hand: requests that no client library would send."""

import asyncio
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, DATA, RESET, GOODBYE = 1, 4, 0, 3, 7
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return one frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """Return one header that uses no table and no Huffman code."""
    return b"\x00" + _length(name) + _length(value)


def _length(text: bytes) -> bytes:
    """Return a string with its length in front."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    return b"\x7f" + bytes(((len(text) - 127) & 0x7F | 0x80, (len(text) - 127) >> 7)) + text


def request(headers: list[tuple[bytes, bytes]], body: bytes | None = None) -> bytes:
    """Return a whole connection's worth: preface, settings, one request."""
    block = b"".join(literal(name, value) for name, value in headers)
    flags = END_HEADERS | (END_STREAM if body is None else 0)
    wire = PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, flags, 1, block)
    return wire if body is None else wire + frame(DATA, END_STREAM, 1, body)


def is_answered(wire: bytes) -> bool:
    """Tell whether there is a whole answer in what came: the stream's end, its reset, or the connection's goodbye."""
    at = 0
    while at + 9 <= len(wire):
        size, kind, flags = int.from_bytes(wire[at : at + 3]), wire[at + 3], wire[at + 4]
        if kind in {RESET, GOODBYE} or (kind in {DATA, HEADERS} and flags & END_STREAM):
            return True
        at += 9 + size
    return False


async def send(port: int, headers: list[tuple[bytes, bytes]], body: bytes | None = None) -> bytes:
    """Send one request and return what came until HAProxy had answered it and a moment after, or within a bound."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(headers, body))
    answer = b""
    try:
        async with asyncio.timeout(2.0) as bound:
            while piece := await reader.read(65536):
                answer += piece
                if is_answered(answer):
                    # For what might still come out of it.
                    bound.reschedule(asyncio.get_running_loop().time() + 0.05)
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return answer
