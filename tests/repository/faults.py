"""Which requests of the bucket's client a test lets go wrong."""

from runtime.repository.read_ahead import CHUNK_BYTES
from tests.support.strict_gcs import Wire
from tests.support.strict_objects import Asked

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
