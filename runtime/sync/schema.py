"""A collection's configuration and payload indexes, carried from one engine to another.

Owns which part of what an engine says of a collection makes another one like it, and which part two of them have to
have in common. The points are none of its business.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from runtime.errors import EngineError
from runtime.sync.remote import Absent, Remote

_MOST_POINTS = 1000
_PARAMS = (
    "vectors",
    "sparse_vectors",
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "payload",
)
_SECTIONS = {
    "hnsw_config": "hnsw_config",
    "optimizer_config": "optimizers_config",
    "wal_config": "wal_config",
    "quantization_config": "quantization_config",
    "strict_mode_config": "strict_mode_config",
    "metadata": "metadata",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """A collection as its engine describes it: the request that makes one, and its indexes by payload field."""

    body: Mapping[str, Any]
    indexes: Mapping[str, Any]

    @property
    def most_points(self) -> int:
        """How many points may be read or written at once: strict mode has limits of its own."""
        strict = self.body.get("strict_mode_config") or {}
        limits = (
            [strict.get(name) for name in ("max_query_limit", "upsert_max_batchsize")] if strict.get("enabled") else []
        )
        return max(1, min(int(limit) for limit in [_MOST_POINTS, *(limit for limit in limits if limit)]))

    def essence(self) -> str:
        """Return the hash of what decides which points it takes and how they are found.

        How it is spread over nodes and how its log is kept may differ from place to place.
        """
        kept = ("vectors", "sparse_vectors", "on_disk_payload", "hnsw_config", "quantization_config")
        facts = [{name: self.body.get(name) for name in kept}, self.indexes]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


async def read(remote: Remote, collection: str) -> Schema | None:
    """Return a collection's schema, or None when there is no such collection. Raises EngineError."""
    try:
        info = await remote.result("GET", f"/collections/{quote(collection, safe='')}")
    except Absent:
        return None
    config = info["config"]
    if config["params"].get("sharding_method") == "custom":
        raise EngineError(
            f"collection {collection!r} is sharded by key, which a single node cannot hold",
            hint="Leave it out with QDRANT_COLLECTION_NAME, or copy it into a collection of automatic shards",
        )
    body = {name: config["params"][name] for name in _PARAMS if config["params"].get(name) is not None}
    body |= {ours: config[theirs] for theirs, ours in _SECTIONS.items() if config.get(theirs)}
    indexes = {
        field: schema.get("params") or schema["data_type"]
        for field, schema in (info.get("payload_schema") or {}).items()
    }
    return Schema(_without_none(body), _without_none(indexes))


async def make(remote: Remote, collection: str, schema: Schema) -> None:
    """Make a collection with its indexes, empty. Raises EngineError."""
    path = f"/collections/{quote(collection, safe='')}"
    try:
        await remote.result("PUT", path, schema.body)
    except EngineError:
        # Asked again because the answer was lost, it is there already.
        made = await read(remote, collection)
        if made is None or Schema(made.body, schema.indexes).essence() != schema.essence():
            raise
    for field, index in schema.indexes.items():
        await remote.result("PUT", f"{path}/index?wait=true", {"field_name": field, "field_schema": index})


async def drop(remote: Remote, collection: str) -> None:
    """Delete a collection. Raises EngineError."""
    await remote.result("DELETE", f"/collections/{quote(collection, safe='')}")


async def set_aliases(remote: Remote, aliases: Mapping[str, str]) -> None:
    """Make each alias mean its collection, whatever it meant before. Raises EngineError."""
    there = await remote.aliases()
    actions: list[dict[str, Any]] = []
    for alias, collection in aliases.items():
        if there.get(alias) == collection:
            continue
        if alias in there:
            actions.append({"delete_alias": {"alias_name": alias}})
        actions.append({"create_alias": {"collection_name": collection, "alias_name": alias}})
    if actions:
        await remote.result("POST", "/collections/aliases", {"actions": actions})


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return value
