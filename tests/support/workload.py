"""What is written through an instance, and everything an instance holds, in a form that can be compared.

Owns the data: every kind of vector, payload, index and alias that a backup has to bring back. Starts nothing.
"""

import random
from typing import Any
from urllib.parse import quote

import httpx
from qdrant_client import QdrantClient, models

from tests.support.instances import Instance

MIXED = "mixed"
MIXED_SCHEMA = {
    "vectors": {
        "dense": {"size": 4, "distance": "Dot"},
        "late": {"size": 3, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
    "shard_number": 2,
}


def of(collection: str, *parts: str) -> str:
    """Return the path of a collection."""
    return "/".join(("/collections", quote(collection, safe=""), *parts))


def point(number: int, seed: int = 0) -> dict[str, Any]:
    """Return a point of the mixed collection; numbers that floats hold exactly."""
    random_number = random.Random(f"{seed}-{number}")

    def vector(size: int) -> list[float]:
        return [random_number.randrange(-64, 64) / 8 for _ in range(size)]

    indices = sorted(random_number.sample(range(1000), 5))
    return {
        "id": number,
        "vector": {
            "dense": vector(4),
            "late": [vector(3) for _ in range(random_number.randrange(1, 4))],
            "words": {"indices": indices, "values": [1.0 + index / 2 for index in range(5)]},
        },
        "payload": {"city": random_number.choice(["Oslo", "Łódź", "京都"]), "rank": number, "nested": {"seed": seed}},
    }


def write_mixed(instance: Instance) -> dict[int, dict[str, Any]]:
    """Fill the mixed collection over REST and gRPC; return the points it must hold then."""
    points = {number: point(number) for number in range(1, 81)}
    instance.result("PUT", of(MIXED), MIXED_SCHEMA)
    instance.result("PUT", of(MIXED, "index?wait=true"), {"field_name": "city", "field_schema": "keyword"})
    instance.result("PUT", of(MIXED, "index?wait=true"), {"field_name": "rank", "field_schema": "integer"})
    put(instance, MIXED, [points[number] for number in range(1, 61)])
    with grpc_client(instance) as client:
        client.upsert(MIXED, [models.PointStruct(**points[number]) for number in range(61, 81)], wait=True)
        client.delete(MIXED, models.PointIdsList(points=[5, 70]), wait=True)
        client.set_payload(MIXED, {"seen": True}, points=[7], wait=True)
    del points[5], points[70]
    points[7]["payload"]["seen"] = True
    instance.result(
        "POST",
        "/collections/aliases",
        {"actions": [{"create_alias": {"collection_name": MIXED, "alias_name": "current"}}]},
    )
    return points


class grpc_client:  # noqa: N801 - used as the function it stands for
    """A client that speaks gRPC through the one port; closed in the end."""

    def __init__(self, instance: Instance) -> None:
        self._client = QdrantClient(
            host="127.0.0.1",
            port=instance.port,
            grpc_port=instance.port,
            prefer_grpc=True,
            check_compatibility=False,
            timeout=30,
        )

    def __enter__(self) -> QdrantClient:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()


def make(instance: Instance, collection: str, shards: int = 1) -> None:
    """Make a small collection."""
    schema = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": shards}
    instance.result("PUT", of(collection), schema)


def put(instance: Instance, collection: str, points: list[dict[str, Any]], *, wait: bool = True) -> None:
    """Write points, in one request."""
    instance.result("PUT", of(collection, f"points?wait={str(wait).lower()}"), {"points": points})


def put_numbers(instance: Instance, collection: str, numbers: range, *, wait: bool = True) -> None:
    """Write points that are told by their numbers."""
    put(instance, collection, [{"id": n, "vector": [n, 1], "payload": {"n": n}} for n in numbers], wait=wait)


def numbers(instance: Instance, collection: str) -> set[int]:
    """Return the numbers of the points that a collection holds."""
    found = instance.result("POST", of(collection, "points/scroll"), {"limit": 100_000, "with_payload": False})
    return {entry["id"] for entry in found["points"]}


def shown(instance: Instance, collection: str) -> set[int]:
    """Return the numbers that reads show, none while there are no reads."""
    try:
        return numbers(instance, collection)
    except (AssertionError, httpx.HTTPError):
        return set()


def points_of(instance: Instance, collection: str) -> dict[int, dict[str, Any]]:
    """Return every point of a collection, in the form it was written in."""
    body = {"limit": 100_000, "with_vector": True, "with_payload": True}
    found = instance.result("POST", of(collection, "points/scroll"), body)["points"]
    return {entry["id"]: {key: entry[key] for key in ("id", "vector", "payload")} for entry in found}


def holdings(instance: Instance) -> dict[str, Any]:
    """Return everything an instance holds: points, parameters and indexes of each collection, and the aliases."""
    found: dict[str, Any] = {}
    for entry in instance.result("GET", "/collections")["collections"]:
        name = entry["name"]
        info = instance.result("GET", of(name))
        found[name] = {
            "params": info["config"]["params"],
            "indexes": info["payload_schema"],
            "points": points_of(instance, name),
        }
    aliases = instance.result("GET", "/aliases")["aliases"]
    return {"collections": found, "aliases": {each["alias_name"]: each["collection_name"] for each in aliases}}
