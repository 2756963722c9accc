"""Points and results: from the core's JSON to protobuf."""

from typing import Any

from local.engine.refusal import Json
from local.engine.rpc.stubs import grpc_messages as messages


def point_id(value: int | str) -> Any:
    """Answer a point's id."""
    return messages.PointId(num=value) if isinstance(value, int) else messages.PointId(uuid=value)


_SCALARS = {bool: "bool_value", int: "integer_value", float: "double_value", str: "string_value"}


def value(content: Json) -> Any:
    """Answer a payload's value."""
    if content is None:
        return messages.Value(null_value=0)
    if type(content) in _SCALARS:
        return messages.Value(**{_SCALARS[type(content)]: content})
    if isinstance(content, list):
        return messages.Value(list_value=messages.ListValue(values=[value(part) for part in content]))
    fields = {key: value(part) for key, part in content.items()}
    return messages.Value(struct_value=messages.Struct(fields=fields))


def _vector(content: Json) -> Any:
    if isinstance(content, dict):
        return messages.VectorOutput(sparse=messages.SparseVector(**content))
    if content and isinstance(content[0], list):
        rows = [messages.DenseVector(data=row) for row in content]
        return messages.VectorOutput(multi_dense=messages.MultiDenseVector(vectors=rows))
    return messages.VectorOutput(dense=messages.DenseVector(data=content))


def _vectors(content: Json) -> Any:
    if isinstance(content, dict):
        named = {name: _vector(vector) for name, vector in content.items()}
        return messages.VectorsOutput(vectors=messages.NamedVectorsOutput(vectors=named))
    return messages.VectorsOutput(vector=_vector(content))


def _fill(point: Any, content: Json) -> Any:
    for key, part in (content.get("payload") or {}).items():
        point.payload[key].CopyFrom(value(part))
    if "vector" in content:
        point.vectors.CopyFrom(_vectors(content["vector"]))
    if isinstance(content.get("order_value"), int):
        point.order_value.int = content["order_value"]
    elif "order_value" in content:
        point.order_value.float = content["order_value"]
    return point


def retrieved(content: Json) -> Any:
    """Answer a point as it was stored."""
    return _fill(messages.RetrievedPoint(id=point_id(content["id"])), content)


def scored(content: Json) -> Any:
    """Answer a point as it was found."""
    point = messages.ScoredPoint(id=point_id(content["id"]), score=content["score"], version=content["version"])
    return _fill(point, content)


def updated(number: int, *, waited: bool) -> Any:
    """Answer the result of a write."""
    status = messages.UpdateStatus.Completed if waited else messages.UpdateStatus.Acknowledged
    return messages.UpdateResult(operation_id=number, status=status)
