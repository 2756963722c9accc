"""What is stored: collections of different kinds, made, filled and changed.

Owns the kinds. Indexing is off in all of them: moving data is the subject, not building a graph.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
from qdrant_client import grpc as messages

from bench import points
from bench.points import Encode, Floats
from bench.sizes import Sizes

_PAYLOAD_BYTES = 4096
_SHORT = 64
_NON_ZEROS = 128
_VOCABULARY = 30_000
_CALM_LOOKS = 5
_WORDS = random.Random(7).randbytes(1 << 20).hex()


@dataclass(frozen=True, slots=True)
class Workload:
    """Some collections of one kind, each with the points 0…count."""

    name: str
    said: str
    count: int
    collections: tuple[str, ...] = (points.COLLECTION,)
    config: dict[str, Any] = field(default_factory=lambda: {"vectors": _dense(points.DIMENSIONS)})
    encode: Encode = points.dense

    def create(self, port: int) -> None:
        """Create its collections. Full segments become immutable, as they would be with an index."""
        optimizers = {"indexing_threshold": 0, "memmap_threshold": 10_000}
        for name in self.collections:
            url = f"http://127.0.0.1:{port}/collections/{name}"
            answer = requests.put(url, json={**self.config, "optimizers_config": optimizers}, timeout=60)
            answer.raise_for_status()

    def fill(self, port: int) -> None:
        """Write all points, and return when the engine has nothing left to do."""
        for name in self.collections:
            points.fill(port, range(self.count), collection=name, encode=self.encode)
        self.settle(port)

    def change(self, port: int, share: float, round_number: int) -> int:
        """Give a share of all points other content; returns how many."""
        ids = self.changed(share, round_number)
        for name, numbers in ids.items():
            points.fill(port, numbers, shift=round_number + 1, collection=name, encode=self.encode)
        self.settle(port)
        return sum(map(len, ids.values()))

    def changed(self, share: float, round_number: int) -> dict[str, list[int]]:
        """Return the ids of a share of all points, at least one, by collection: anywhere, and other ones each round."""
        chance = random.Random(f"{share} {round_number}")
        total = self.count * len(self.collections)
        found: dict[str, list[int]] = {}
        for place in sorted(chance.sample(range(total), max(1, round(total * share)))):
            found.setdefault(self.collections[place // self.count], []).append(place % self.count)
        return found

    def settle(self, port: int) -> None:
        """Return when the engine has nothing left to do: as most of the time in a service's life."""
        calm = 0
        while calm < _CALM_LOOKS:
            calm = calm + 1 if all(_is_green(port, name) for name in self.collections) else 0
            time.sleep(0.1)


def dense(count: int) -> Workload:
    """768 dimensions and nothing else."""
    return Workload("dense", f"{count:,} × 768", count)


def kinds(sizes: Sizes) -> list[Workload]:
    """Return one of each kind that is asked for, apart from plain vectors."""
    every = (many(sizes.collections), payload(sizes.small), sparse(sizes.small), quantized(sizes.small))
    return [one for one in every if one.name in sizes.kinds]


def many(collections: int) -> Workload:
    """Many small collections."""
    names = tuple(f"bench-{number:03}" for number in range(collections))
    return Workload("many", f"{collections} collections of 100 × 768", 100, names)


def payload(count: int) -> Workload:
    """Short vectors with 4 KiB of payload each."""
    said = f"{count:,} × 64 with {_PAYLOAD_BYTES // 1024} KiB of payload"
    return Workload("payload", said, count, config={"vectors": _dense(_SHORT)}, encode=_with_payload)


def sparse(count: int) -> Workload:
    """Sparse vectors."""
    said = f"{count:,} sparse, {_NON_ZEROS} of {_VOCABULARY:,} dimensions each"
    return Workload("sparse", said, count, config={"sparse_vectors": {"text": {}}}, encode=_sparse)


def quantized(count: int) -> Workload:
    """768 dimensions, and each of them once more as one byte."""
    config = {
        "vectors": _dense(points.DIMENSIONS),
        "quantization_config": {"scalar": {"type": "int8", "always_ram": True}},
    }
    return Workload("quantized", f"{count:,} × 768, scalar-quantized", count, config=config)


def spread(count: int, collections: int) -> Workload:
    """768 dimensions in a few collections: packs are uploaded two at a time."""
    names = tuple(f"bench-{number}" for number in range(collections))
    return Workload("spread", f"{count:,} × 768 in {collections} collections", count // collections, names)


def _is_green(port: int, collection: str) -> bool:
    answer = requests.get(f"http://127.0.0.1:{port}/collections/{collection}", timeout=60)
    return bool(answer.json()["result"]["status"] == "green")


def _dense(dimensions: int) -> dict[str, Any]:
    return {"size": dimensions, "distance": "Dot"}


def _with_payload(number: int, vector: Floats) -> bytes:
    # The vector decides where the text begins: another vector, another text.
    begin = int(abs(float(vector[0])) * 1e6 + number * 37) % (len(_WORDS) - _PAYLOAD_BYTES)
    text = messages.Value(string_value=_WORDS[begin : begin + _PAYLOAD_BYTES])
    extra: bytes = messages.PointStruct(
        payload={"text": text, "number": messages.Value(integer_value=number)}
    ).SerializeToString()
    return extra + points.dense(number, vector[:_SHORT])


def _sparse(number: int, vector: Floats) -> bytes:
    step = _VOCABULARY // _NON_ZEROS
    indices: Sequence[int] = [place * step + (number + place) % step for place in range(_NON_ZEROS)]
    values = messages.SparseVector(values=vector[:_NON_ZEROS].tolist(), indices=indices)
    named = messages.NamedVectors(vectors={"text": messages.Vector(sparse=values)})
    encoded: bytes = messages.PointStruct(vectors=messages.Vectors(vectors=named)).SerializeToString()
    return encoded
