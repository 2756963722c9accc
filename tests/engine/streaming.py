"""A collection as its streams carry it, and engines on what they carried."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.engines import Engine, wait_until
from tests.support.streams import ShardState, place_collection


def stream(engine: Engine, collection: str, manifests: dict[str, Any], shard: int = 0) -> bytes | None:
    """Ask for what `manifests` lack; answer the archive, or None when nothing is new."""
    reply = engine.call("POST", f"/collections/{collection}/shards/{shard}/snapshot/partial/create", manifests)
    assert reply.status in (200, 304), reply.body
    return reply.raw if reply.status == 200 else None


def full(engine: Engine, collection: str) -> ShardState:
    """Answer the whole of a collection's first shard."""
    archive = stream(engine, collection, {})
    assert archive is not None
    return ShardState().apply(archive)


def restored(engine: Engine, argv: Sequence[str], folder: Path, collection: str, *shards: ShardState) -> Engine:
    """Answer an engine, ready and yet to be ended, on nothing but what the streams carried."""
    place_collection(engine.storage / "collections" / collection, folder / "storage/collections" / collection, shards)
    return Engine(argv, folder, {})


@contextmanager
def serving(started: Engine) -> Iterator[Engine]:
    """Wait for a started engine, and end it with the block."""
    try:
        started.wait_ready()
        yield started
    finally:
        started.kill()


def point(number: int) -> dict[str, Any]:
    """Answer a point that tells its number in every part of it."""
    return {"id": number, "vector": [number, 1.0, 0.5, 0.25], "payload": {"n": number, "k": f"k{number % 5}"}}


def upsert(engine: Engine, collection: str, numbers: Iterator[int] | range) -> None:
    """Write points and wait for them."""
    body = {"points": [point(number) for number in numbers]}
    engine.result("PUT", f"/collections/{collection}/points?wait=true", body)


def optimizing(engine: Engine, collection: str) -> None:
    """Make a collection whose segments are optimized as soon as they hold a kilobyte."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 1}}
    engine.result("PUT", f"/collections/{collection}", body)


def wait_replaced(engine: Engine, collection: str, before: ShardState) -> None:
    """Return once a segment that was there has given way to another."""
    path = f"/collections/{collection}/shards/0/snapshot/partial/manifest"
    wait_until(lambda: not before.manifests.keys() <= engine.result("GET", path).keys(), 20, "a new segment")
