"""Points of 768 dimensions, made and written faster than an engine takes them.

Owns the data and its form on the wire: the bytes of a vector are put into the message as they are, so that filling
measures the engine and not the encoder. No two vectors are alike: what compares or compresses finds nothing to spare.
"""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from qdrant_client import grpc as messages

DIMENSIONS = 768
POINT_BYTES = DIMENSIONS * 4
COLLECTION = "bench"

UPSERT = "/qdrant.Points/Upsert"
QUERY = "/qdrant.Points/Query"

_BASES = 512
_FACTORS = 65_521  # a prime: point and shift give a factor that repeats late
_BATCH = 1000

Floats = npt.NDArray[np.float32]
# One point as a serialised PointStruct, given its id and its vector.
Encode = Callable[[int, Floats], bytes]


def vectors(ids: Iterable[int], shift: int = 0) -> Floats:
    """Return one row a point; the same in every run. `shift` gives points other vectors than before."""
    numbers = np.fromiter(ids, dtype=np.int64)
    factors = 1 + (numbers * 7919 + shift * 104_729) % _FACTORS / _FACTORS
    return (_bases()[numbers % _BASES] * factors[:, None]).astype(np.float32)


def fill(
    port: int, ids: Sequence[int], *, shift: int = 0, collection: str = COLLECTION, encode: Encode | None = None
) -> None:
    """Write points over gRPC and return when they are acknowledged."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        upsert = channel.unary_unary(UPSERT)
        for start in range(0, len(ids), _BATCH):
            upsert(upsert_message(collection, ids[start : start + _BATCH], shift, encode), timeout=120)


def upsert_message(collection: str, ids: Sequence[int], shift: int = 0, encode: Encode | None = None) -> bytes:
    """Return an UpsertPoints as bytes: messages are put together by joining their fields."""
    parts = [messages.UpsertPoints(collection_name=collection, wait=True).SerializeToString()]
    for number, vector in zip(ids, vectors(ids, shift), strict=True):
        point = messages.PointStruct(id=messages.PointId(num=number)).SerializeToString()
        point += (encode or dense)(number, vector)
        parts += (b"\x1a", _varint(len(point)), point)
    return b"".join(parts)


def upsert_body(ids: Sequence[int]) -> bytes:
    """Return a REST upsert as bytes."""
    found = [{"id": n, "vector": vector.tolist()} for n, vector in zip(ids, vectors(ids), strict=True)]
    return json.dumps({"points": found}).encode()


def query_message(number: int) -> bytes:
    """Return a QueryPoints as bytes."""
    nearest = messages.VectorInput(dense=messages.DenseVector(data=_vector(number)))
    query: bytes = messages.QueryPoints(
        collection_name=COLLECTION, query=messages.Query(nearest=nearest), limit=10
    ).SerializeToString()
    return query


def query_body(number: int) -> bytes:
    """Return a REST query as bytes."""
    return json.dumps({"query": _vector(number), "limit": 10}).encode()


def dense(_number: int, vector: Floats) -> bytes:
    """Encode a point that is a vector and nothing else."""
    return _before_numbers(len(vector)) + vector.tobytes()


def _vector(number: int) -> Any:
    return vectors([number])[0].tolist()


@functools.cache
def _bases() -> Floats:
    return np.random.default_rng(7).standard_normal((_BASES, DIMENSIONS)).astype(np.float32)


@functools.cache
def _before_numbers(dimensions: int) -> bytes:
    """Return what comes before a dense vector's numbers, which are the message's last bytes."""
    vector = messages.Vector(dense=messages.DenseVector(data=itertools.repeat(0.0, dimensions)))
    encoded: bytes = messages.PointStruct(vectors=messages.Vectors(vector=vector)).SerializeToString()
    return encoded[: -4 * dimensions]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
