"""Points of 768 dimensions, made and written faster than an engine takes them.

Owns the data and its form on the wire: a vector is encoded once, so that filling measures the engine and not the
encoder. Vectors repeat from a pool: nothing on the way compresses or compares them.
"""

import functools
import json
import time
from collections.abc import Iterable

import grpc
import numpy as np
import requests
from qdrant_client import grpc as messages

DIMENSIONS = 768
POINT_BYTES = DIMENSIONS * 4
COLLECTION = "bench"

UPSERT = "/qdrant.Points/Upsert"
QUERY = "/qdrant.Points/Query"

_POOL = 512
_BATCH = 1000
_CALM_LOOKS = 5


@functools.cache
def pool() -> list[list[float]]:
    """Return the vectors; the same ones in every run."""
    made = np.random.default_rng(7).standard_normal((_POOL, DIMENSIONS)).astype(np.float32)
    return [[float(number) for number in vector] for vector in made]


def create(port: int, collection: str = COLLECTION) -> None:
    """Create a collection whose full segments become immutable, but are never indexed: moving data is the subject."""
    optimizers = {"indexing_threshold": 0, "memmap_threshold": 10_000}
    wanted = {"vectors": {"size": DIMENSIONS, "distance": "Dot"}, "optimizers_config": optimizers}
    requests.put(f"http://127.0.0.1:{port}/collections/{collection}", json=wanted, timeout=60).raise_for_status()


def settle(port: int) -> None:
    """Return when the engine has nothing left to do: as most of the time in a service's life."""
    calm = 0
    while calm < _CALM_LOOKS:
        answer = requests.get(f"http://127.0.0.1:{port}/collections/{COLLECTION}", timeout=60).json()
        calm = calm + 1 if answer["result"]["status"] == "green" else 0
        time.sleep(0.1)


def fill(port: int, ids: range, *, shift: int = 0, collection: str = COLLECTION) -> None:
    """Write points over gRPC and return when they are acknowledged; `shift` gives them other vectors."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        upsert = channel.unary_unary(UPSERT)
        for start in range(ids.start, ids.stop, _BATCH):
            upsert(upsert_message(collection, range(start, min(start + _BATCH, ids.stop)), shift), timeout=120)


def upsert_message(collection: str, ids: Iterable[int], shift: int = 0) -> bytes:
    """Return an UpsertPoints as bytes: messages are put together by joining their fields."""
    parts = [messages.UpsertPoints(collection_name=collection, wait=True).SerializeToString()]
    for number in ids:
        point = messages.PointStruct(id=messages.PointId(num=number)).SerializeToString() + _encoded(
            (number + shift) % _POOL
        )
        parts += (b"\x1a", _varint(len(point)), point)
    return b"".join(parts)


def upsert_body(ids: Iterable[int]) -> bytes:
    """Return a REST upsert as bytes."""
    return json.dumps({"points": [{"id": number, "vector": pool()[number % _POOL]} for number in ids]}).encode()


def query_message(number: int) -> bytes:
    """Return a QueryPoints as bytes."""
    nearest = messages.VectorInput(dense=messages.DenseVector(data=pool()[number % _POOL]))
    query: bytes = messages.QueryPoints(
        collection_name=COLLECTION, query=messages.Query(nearest=nearest), limit=10
    ).SerializeToString()
    return query


def query_body(number: int) -> bytes:
    """Return a REST query as bytes."""
    return json.dumps({"query": pool()[number % _POOL], "limit": 10}).encode()


@functools.cache
def _encoded(index: int) -> bytes:
    vector = messages.Vector(dense=messages.DenseVector(data=pool()[index]))
    encoded: bytes = messages.PointStruct(vectors=messages.Vectors(vector=vector)).SerializeToString()
    return encoded


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
