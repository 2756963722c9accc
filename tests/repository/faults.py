"""Which requests of the bucket's client a test lets go wrong, and what it compares afterwards."""

import base64

import google_crc32c

from runtime.repository.gcs import GcsStore
from runtime.repository.read_ahead import CHUNK_BYTES
from tests.support.sources import Collected
from tests.support.strict_gcs import Wire
from tests.support.strict_objects import Asked

MIB = 1 << 20
CHUNK = CHUNK_BYTES
SECONDS = 2.0
WITHOUT_EFFECT = [Wire.UNAVAILABLE, Wire.BUSY, Wire.RESET_BEFORE]


def writes(asked: Asked) -> bool:
    """Match what makes an object of a small body."""
    return asked.method == "POST" and asked.query.get("uploadType") == "multipart"


def begins(asked: Asked) -> bool:
    """Match the first request of a resumable upload."""
    return asked.method == "POST" and asked.query.get("uploadType") == "resumable"


def parts(asked: Asked) -> bool:
    """Match a chunk of a resumable upload."""
    return asked.method == "PUT" and bool(asked.body)


def finals(asked: Asked) -> bool:
    """Match the last chunk of a resumable upload."""
    return asked.method == "PUT" and asked.finalises and bool(asked.header("x-goog-hash"))


def media(asked: Asked) -> bool:
    """Match a download."""
    return asked.method == "GET" and asked.query.get("alt") == "media"


def anything(_: Asked) -> bool:
    """Match every request."""
    return True


async def content(store: GcsStore, name: str, offset: int, length: int) -> bytes:
    """Return a range of an object."""
    sink = Collected()
    await store.download(name, offset, length, sink)
    return bytes(sink.data)


def crc32c(data: bytes) -> str:
    """Return the checksum as the service writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
