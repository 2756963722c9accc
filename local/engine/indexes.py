"""Payload index schemas between Qdrant's JSON and the engine's own objects."""

import qdrant_edge as edge

from local.engine.refusal import Json, malformed

_TYPES = {
    "keyword": (edge.PayloadSchemaType.Keyword, edge.KeywordIndexParams),
    "integer": (edge.PayloadSchemaType.Integer, edge.IntegerIndexParams),
    "float": (edge.PayloadSchemaType.Float, edge.FloatIndexParams),
    "geo": (edge.PayloadSchemaType.Geo, edge.GeoIndexParams),
    "text": (edge.PayloadSchemaType.Text, edge.TextIndexParams),
    "bool": (edge.PayloadSchemaType.Bool, edge.BoolIndexParams),
    "datetime": (edge.PayloadSchemaType.Datetime, edge.DatetimeIndexParams),
    "uuid": (edge.PayloadSchemaType.Uuid, edge.UuidIndexParams),
}
_PLAIN = (
    "lookup", "range", "is_principal", "is_tenant", "on_disk", "enable_hnsw",
    "min_token_len", "max_token_len", "lowercase", "ascii_folding", "phrase_matching",
)  # fmt: skip


def index_type(schema: Json) -> str:
    """Answer the name of a schema's type, or refuse."""
    name = schema.get("type") if isinstance(schema, dict) else schema
    if name not in _TYPES:
        raise malformed("data did not match any variant of untagged enum PayloadFieldSchema")
    return str(name)


def edge_schema(schema: Json) -> Json:
    """Answer a schema as the engine takes it."""
    kind, parameters = _TYPES[index_type(schema)]
    if not isinstance(schema, dict):
        return kind
    known = {key: schema[key] for key in _PLAIN if schema.get(key) is not None}
    if schema.get("tokenizer"):
        known["tokenizer"] = getattr(edge.TokenizerType, schema["tokenizer"].capitalize())
    return parameters(**known)
