"""One collection: its files beside the shards, its shards, and what may be asked of it.

Owns the order of writes (a write goes to its shards one after the other) and the payload schema.
"""

from collections.abc import Iterator
from pathlib import Path

import qdrant_edge as edge

from local.engine import reads
from local.engine.collection_config import (
    config_from_request,
    dense_vectors,
    edge_config,
    sparse_vectors,
    updated_config,
)
from local.engine.files import read_json, write_json, write_text
from local.engine.indexes import edge_schema, index_type
from local.engine.operations import Plan, Planner
from local.engine.queries import Searcher
from local.engine.refusal import Json, Refusal, field, malformed, not_found
from local.engine.shard import Shard
from local.engine.vectors import VectorSchema

STORAGE_VERSION = "0.4.2"


class Collection:
    """A collection on its folder, opened with whatever lies there."""

    def __init__(self, folder: Path, peer: int) -> None:
        self.name = folder.name
        self.config: Json = read_json(folder / "config.json")
        self.shards = [
            Shard(folder / str(number), number, peer, edge_config(self.config))
            for number in range(self.config["params"]["shard_number"])
        ]
        self.schema: dict[str, Json] = (read_json(folder / "payload_index.json") or {}).get("schema", {})
        self._folder = folder
        vectors = VectorSchema(self.config)
        self._planner = Planner(len(self.shards), vectors)
        self._searcher = Searcher(self.shards, vectors)

    @staticmethod
    def create(folder: Path, body: Json, peer: int) -> "Collection":
        """Make a new collection; its configuration comes last, so that a kill leaves none or all of it."""
        config = config_from_request(body)
        edge_config(config)
        write_text(folder / "version.info", STORAGE_VERSION)
        write_json(folder / "shard_key_mapping.json", [])
        write_json(folder / "config.json", config)
        return Collection(folder, peer)

    def change(self, body: Json) -> None:
        """Change the configuration; what the engine itself goes by changes at the next start."""
        self.config = updated_config(self.config, body)
        write_json(self._folder / "config.json", self.config)

    def write(self, kind: str, body: Json) -> int:
        """Apply one write and answer its number."""
        return self._apply(self._planner.plan(kind, body))

    def batch(self, body: Json) -> list[int]:
        """Apply several writes, in order, and answer their numbers."""
        operations = field(body, "operations")
        if not all(isinstance(operation, dict) and len(operation) == 1 for operation in operations):
            raise malformed("data did not match any variant of untagged enum UpdateOperation")
        plans = [self._planner.plan(kind, part) for operation in operations for kind, part in operation.items()]
        return [self._apply(plan) for plan in plans]

    def create_index(self, body: Json) -> int:
        """Index a payload field."""
        name, schema = field(body, "field_name"), body.get("field_schema") or body.get("field_type")
        if schema is None:
            raise Refusal(
                400,
                "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
            )
        index_type(schema)
        number = self._apply(
            self._planner.everywhere(edge.UpdateOperation.create_field_index(name, edge_schema(schema)))
        )
        self._save_schema(self.schema | {name: schema})
        return number

    def delete_index(self, name: str) -> int:
        """Drop the index of a payload field."""
        number = self._apply(self._planner.everywhere(edge.UpdateOperation.delete_field_index(name)))
        self._save_schema({key: schema for key, schema in self.schema.items() if key != name})
        return number

    def retrieve(self, body: Json) -> list[Json]:
        """Answer points by id."""
        return reads.retrieve(self.shards, body)

    def scroll(self, body: Json) -> Json:
        """Answer one page of points."""
        return reads.scroll(self.shards, body)

    def search(self, body: Json) -> list[Json]:
        """Answer the points nearest to a vector."""
        return self._searcher.search(body)

    def query(self, body: Json) -> list[Json]:
        """Answer the points that a query finds."""
        return self._searcher.query(body)

    def count(self, body: Json) -> int:
        """Answer how many points there are, or match a filter."""
        return reads.count(self.shards, body)

    def shard(self, number: int) -> Shard:
        """Answer one shard."""
        if number >= len(self.shards):
            raise not_found(f"shard {number} not found")
        return self.shards[number]

    def info(self) -> Json:
        """Answer what the collection says of itself."""
        infos = [shard.engine.info() for shard in self.shards]
        schema: dict[str, Json] = {}
        for name, asked in self.schema.items():
            points = sum(info.payload_schema[name].points for info in infos if name in info.payload_schema)
            schema[name] = {"data_type": index_type(asked)}
            if isinstance(asked, dict):
                schema[name]["params"] = asked
            schema[name]["points"] = points
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": sum(info.indexed_vectors_count for info in infos),
            "points_count": sum(info.points_count for info in infos),
            "segments_count": sum(info.segments_count for info in infos),
            "config": {key: value for key, value in self.config.items() if key != "uuid"},
            "payload_schema": schema,
            "update_queue": {"length": 0},
        }

    def vector_names(self) -> list[str]:
        """Answer the names of all vectors."""
        return [*dense_vectors(self.config), *sparse_vectors(self.config)]

    def settle(self) -> None:
        """Do what is to be done behind the answers."""
        for shard in self.shards:
            shard.settle()

    def close(self) -> None:
        """Let go of the folder."""
        for shard in self.shards:
            shard.close()

    def files(self) -> Iterator[Path]:
        """Yield the collection's own files, which no shard's stream carries."""
        for name in ("version.info", "config.json", "shard_key_mapping.json", "payload_index.json"):
            if (self._folder / name).exists():
                yield self._folder / name

    def _apply(self, plan: Plan) -> int:
        numbers = [self.shards[number].write(operation) for number, operation in plan]
        return max(numbers, default=max(shard.last_operation for shard in self.shards))

    def _save_schema(self, schema: dict[str, Json]) -> None:
        self.schema = schema
        write_json(self._folder / "payload_index.json", {"schema": schema})
