"""Writes: from Qdrant's JSON to what each shard has to apply.

Everything is checked before a shard is touched: a refused request uses no number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from uuid import UUID

import qdrant_edge as edge

from local.engine.conditions import edge_filter
from local.engine.refusal import Json, Refusal, field, malformed, not_found, unsupported
from local.engine.routing import shard_of
from local.engine.shard import Operation
from local.engine.vectors import VectorSchema, point_id

Plan = list[tuple[int, Operation]]
Build = Callable[..., edge.UpdateOperation]
Identity = int | UUID | str
_Update = edge.UpdateOperation


class Planner:
    """Turns one request into operations for the shards of one collection."""

    def __init__(self, shards: int, schema: VectorSchema) -> None:
        self._shards = shards
        self._schema = schema

    def plan(self, kind: str, body: Json) -> Plan:
        """Answer what the request named `kind` (the name it has in a batch) asks of each shard."""
        known: dict[str, Callable[[Json], Plan]] = {
            "upsert": self._upsert,
            "delete": self._delete,
            "delete_points": self._delete,
            "set_payload": lambda body: self._payload(body, _Update.set_payload, _Update.set_payload_by_filter),
            "overwrite_payload": lambda body: self._payload(
                body, _Update.overwrite_payload, _Update.overwrite_payload_by_filter
            ),
            "delete_payload": lambda body: self._change(
                body, (_strings(body, "keys"),), _Update.delete_payload, _Update.delete_payload_by_filter
            ),
            "clear_payload": lambda body: self._change(
                body, (), _Update.clear_payload, _Update.clear_payload_by_filter
            ),
            "update_vectors": self._update_vectors,
            "delete_vectors": lambda body: self._change(
                body, (_strings(body, "vector"),), _Update.delete_vectors, _Update.delete_vectors_by_filter
            ),
        }
        if kind not in known:
            raise malformed(f"unknown operation `{kind}`")
        return known[kind](body)

    def everywhere(self, operation: edge.UpdateOperation) -> Plan:
        """Answer one operation for all shards."""
        return [(shard, lambda _: operation) for shard in range(self._shards)]

    def _upsert(self, body: Json) -> Plan:
        if not isinstance(body, dict) or ("points" not in body and "batch" not in body):
            raise malformed("Invalid PointInsertOperations format")
        points = body["points"] if "points" in body else _unzip(body["batch"])
        if not points:
            raise Refusal(400, "Bad request: Empty update request")
        by_shard: dict[int, list[edge.Point]] = defaultdict(list)
        for point in points:
            identity = point_id(field(point, "id"))
            vectors = self._schema.point_vectors(field(point, "vector"))
            shard = shard_of(identity, self._shards)
            by_shard[shard].append(edge.Point(identity, vectors, point.get("payload") or {}))
        if body.get("update_mode"):
            raise unsupported("update_mode")
        condition = edge_filter(body.get("update_filter"))
        return [(shard, _always(_Update.upsert_points(some, condition))) for shard, some in by_shard.items()]

    def _delete(self, body: Json) -> Plan:
        if isinstance(body, dict) and "filter" in body:
            condition = edge_filter(body["filter"])
            return [(shard, _by_filter(_Update.delete_points_by_filter, condition)) for shard in range(self._shards)]
        by_shard = self._group(field(body, "points"))
        return [(shard, _always(_Update.delete_points(some))) for shard, some in by_shard.items()]

    def _payload(self, body: Json, by_points: Build, by_filter: Build) -> Plan:
        payload = field(body, "payload")
        if not isinstance(payload, dict):
            raise malformed("invalid type for `payload`, expected a map")
        return self._change(body, (payload, body.get("key")), by_points, by_filter)

    def _change(self, body: Json, arguments: tuple[Json, ...], by_points: Build, by_filter: Build) -> Plan:
        if isinstance(body, dict) and body.get("filter") is not None:
            condition = edge_filter(body["filter"])
            return [(shard, _by_filter(by_filter, condition, *arguments)) for shard in range(self._shards)]
        by_shard = self._group(_chosen(body))
        return [(shard, _existing(some, by_points, arguments)) for shard, some in by_shard.items()]

    def _update_vectors(self, body: Json) -> Plan:
        by_shard: dict[int, dict[Identity, edge.PointVectors]] = defaultdict(dict)
        for point in field(body, "points"):
            identity = point_id(field(point, "id"))
            vectors = self._schema.point_vectors(field(point, "vector"))
            by_shard[shard_of(identity, self._shards)][identity] = edge.PointVectors(identity, vectors)
        return [(shard, _update_existing(some)) for shard, some in by_shard.items()]

    def _group(self, points: Iterable[Json]) -> dict[int, list[Identity]]:
        by_shard: dict[int, list[Identity]] = defaultdict(list)
        for point in points:
            identity = point_id(point)
            by_shard[shard_of(identity, self._shards)].append(identity)
        return by_shard


def _always(operation: edge.UpdateOperation) -> Operation:
    return lambda _: operation


def _by_filter(build: Build, *arguments: Json) -> Operation:
    return lambda _: build(*arguments)


def _existing(points: list[Identity], build: Build, arguments: tuple[Json, ...]) -> Operation:
    def prepare(engine: edge.EdgeShard) -> edge.UpdateOperation:
        _require(engine, points)
        return build(points, *arguments)

    return prepare


def _update_existing(points: dict[Identity, edge.PointVectors]) -> Operation:
    def prepare(engine: edge.EdgeShard) -> edge.UpdateOperation:
        _require(engine, list(points))
        return _Update.update_vectors(list(points.values()))

    return prepare


def _require(engine: edge.EdgeShard, points: list[Identity]) -> None:
    """Refuse before the engine logs it: it would refuse too, but replay the refusal at every start."""
    there = {str(record.id) for record in engine.retrieve(points, with_payload=False, with_vector=False)}
    for point in points:
        if str(point) not in there:
            raise not_found(f"No point with id {point} found")


def _chosen(body: Json) -> list[Json]:
    if not isinstance(body, dict) or body.get("points") is None:
        raise malformed("Either list of point ids or filter must be provided")
    points: list[Json] = body["points"]
    return points


def _strings(body: Json, name: str) -> list[str]:
    values = field(body, name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise malformed(f"invalid type for `{name}`, expected a sequence of strings")
    return values


def _unzip(batch: Json) -> list[Json]:
    ids, vectors = field(batch, "ids"), field(batch, "vectors")
    payloads = batch.get("payloads") or [None] * len(ids)
    if isinstance(vectors, dict):
        rows = [{name: column[index] for name, column in vectors.items()} for index in range(len(ids))]
    else:
        rows = vectors
    if not len(ids) == len(rows) == len(payloads):
        raise malformed("number of ids, vectors and payloads must be equal")
    return [
        {"id": identity, "vector": vector, "payload": payload}
        for identity, vector, payload in zip(ids, rows, payloads, strict=True)
    ]
