"""Point requests: from protobuf to the JSON that the core takes."""

from collections.abc import Callable, Iterable
from typing import Any

from local.engine.refusal import Json, malformed, unsupported
from local.engine.rpc.filters import filter_json

_STRATEGIES = ("average_vector", "best_score", "sum_scores")


def point_id(message: Any) -> int | str:
    """Answer a point's id."""
    kind = message.WhichOneof("point_id_options")
    if kind is None:
        raise malformed("no point id")
    return message.num if kind == "num" else str(message.uuid)


def payload(entries: Any) -> dict[str, Json]:
    """Answer a payload."""
    return {key: _value(value) for key, value in entries.items()}


def _value(value: Any) -> Json:
    kind = value.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    if kind == "struct_value":
        return payload(value.struct_value.fields)
    if kind == "list_value":
        return [_value(part) for part in value.list_value.values]
    return getattr(value, kind)


def vectors(message: Any) -> Json:
    """Answer a point's vectors."""
    kind = message.WhichOneof("vectors_options")
    if kind is None:
        return {}
    if kind == "vector":
        return _vector(message.vector)
    return {name: _vector(vector) for name, vector in message.vectors.vectors.items()}


def _vector(message: Any) -> Json:
    kind = message.WhichOneof("vector")
    if kind is not None:
        return _typed(kind, getattr(message, kind))
    if message.HasField("indices"):
        return {"indices": list(message.indices.data), "values": list(message.data)}
    if message.HasField("vectors_count"):
        size = len(message.data) // message.vectors_count
        return [list(message.data[at : at + size]) for at in range(0, len(message.data), size)]
    return list(message.data)


def _typed(kind: str, message: Any) -> Json:
    if kind == "dense":
        return list(message.data)
    if kind == "sparse":
        return {"indices": list(message.indices), "values": list(message.values)}
    if kind == "multi_dense":
        return [list(row.data) for row in message.vectors]
    raise unsupported("inference")


def points(messages: Iterable[Any]) -> list[Json]:
    """Answer points to upsert."""
    return [
        {"id": point_id(point.id), "vector": vectors(point.vectors), "payload": payload(point.payload)}
        for point in messages
    ]


def selector(message: Any) -> dict[str, Json]:
    """Answer which points are meant, by id or by filter."""
    if message.WhichOneof("points_selector_one_of") == "filter":
        return {"filter": filter_json(message.filter) or {}}
    return {"points": [point_id(identity) for identity in message.points.ids]}


def parts(message: Any) -> dict[str, Json]:
    """Answer which parts of points are wanted, where the message says so."""
    answer: dict[str, Json] = {}
    kind = message.with_payload.WhichOneof("selector_options")
    if kind is not None:
        chosen = message.with_payload
        answer["with_payload"] = chosen.enable if kind == "enable" else {kind: list(getattr(chosen, kind).fields)}
    kind = message.with_vectors.WhichOneof("selector_options")
    if kind is not None:
        chosen = message.with_vectors
        answer["with_vector"] = chosen.enable if kind == "enable" else list(chosen.include.names)
    return answer


def scalars(message: Any, *names: str) -> dict[str, Json]:
    """Answer those of the optional scalar fields that are set."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def query(message: Any) -> dict[str, Json]:
    """Answer a query with its prefetches."""
    body = scalars(message, "using", "score_threshold", "limit")
    body["filter"] = filter_json(message.filter) if message.HasField("filter") else None
    body["params"] = scalars(message.params, "hnsw_ef", "exact", "indexed_only")
    if message.HasField("query"):
        body["query"] = _query(message.query)
    if message.prefetch:
        body["prefetch"] = [query(part) for part in message.prefetch]
    return body


def _query(message: Any) -> Json:
    kind = message.WhichOneof("variant")
    if kind == "nearest":
        return {"nearest": _example(message.nearest)}
    if kind == "recommend":
        return {
            "recommend": {
                "positive": [_example(part) for part in message.recommend.positive],
                "negative": [_example(part) for part in message.recommend.negative],
                "strategy": _STRATEGIES[message.recommend.strategy],
            }
        }
    if kind == "fusion":
        return {"fusion": ("rrf", "dbsf")[message.fusion]}
    if kind == "rrf":
        return {"rrf": scalars(message.rrf, "k") | {"weights": list(message.rrf.weights)}}
    if kind == "order_by":
        return {"order_by": order_by(message.order_by)}
    if kind == "sample":
        return {"sample": "random"}
    raise unsupported(f"the query `{kind}`")


def _example(message: Any) -> Json:
    kind = message.WhichOneof("variant")
    return point_id(message.id) if kind == "id" else _typed(kind, getattr(message, kind))


def order_by(message: Any) -> Json:
    """Answer by what to sort."""
    return {"key": message.key, "direction": ("asc", "desc")[message.direction]}


def update(operation: Any) -> tuple[str, Json]:
    """Answer one operation of a batch: its name and its body."""
    kind = operation.WhichOneof("operation")
    message = getattr(operation, kind)
    bodies: dict[str, Callable[[], Json]] = {
        "upsert": lambda: {"points": points(message.points)},
        "delete_deprecated": lambda: selector(message),
        "delete_points": lambda: selector(message.points),
        "set_payload": lambda: set_payload(message),
        "overwrite_payload": lambda: set_payload(message),
        "delete_payload": lambda: selector(message.points_selector) | {"keys": list(message.keys)},
        "clear_payload_deprecated": lambda: selector(message),
        "clear_payload": lambda: selector(message.points),
        "update_vectors": lambda: {"points": point_vectors(message.points)},
        "delete_vectors": lambda: selector(message.points_selector) | {"vector": list(message.vectors.names)},
    }
    return kind.removesuffix("_deprecated"), bodies[kind]()


def set_payload(message: Any) -> Json:
    """Answer which payload goes to which points."""
    return selector(message.points_selector) | {"payload": payload(message.payload)} | scalars(message, "key")


def point_vectors(messages: Iterable[Any]) -> list[Json]:
    """Answer vectors to replace."""
    return [{"id": point_id(point.id), "vector": vectors(point.vectors)} for point in messages]
