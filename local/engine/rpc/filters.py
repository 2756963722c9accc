"""Filters: from protobuf to Qdrant's JSON."""

from typing import Any

from local.engine.refusal import Json, unsupported


def filter_json(message: Any) -> Json:
    """Answer a filter, or None for one without conditions."""
    body: dict[str, Json] = {
        name: [_condition(part) for part in getattr(message, name)]
        for name in ("should", "must", "must_not")
        if getattr(message, name)
    }
    if message.HasField("min_should"):
        least = message.min_should
        body["min_should"] = {
            "conditions": [_condition(part) for part in least.conditions],
            "min_count": least.min_count,
        }
    return body or None


def _condition(message: Any) -> Json:
    kind = message.WhichOneof("condition_one_of")
    part = getattr(message, kind)
    if kind == "field":
        return _field(part)
    if kind == "filter":
        return filter_json(part) or {}
    if kind == "has_id":
        return {"has_id": [identity.num if identity.HasField("num") else identity.uuid for identity in part.has_id]}
    if kind in ("is_empty", "is_null"):
        return {kind: {"key": part.key}}
    if kind == "has_vector":
        return {kind: part.has_vector}
    if kind == "nested":
        return {kind: {"key": part.key, "filter": filter_json(part.filter) or {}}}
    raise unsupported(f"the condition `{kind}`")


def _field(message: Any) -> Json:
    body: dict[str, Json] = {"key": message.key}
    if message.HasField("match"):
        body["match"] = _match(message.match)
    for name in ("range", "values_count"):
        if message.HasField(name):
            body[name] = {field.name: value for field, value in getattr(message, name).ListFields()}
    if message.HasField("datetime_range"):
        body["range"] = {field.name: value.ToJsonString() for field, value in message.datetime_range.ListFields()}
    if message.HasField("geo_radius"):
        circle = message.geo_radius
        body["geo_radius"] = {"center": _point(circle.center), "radius": circle.radius}
    if message.HasField("geo_bounding_box"):
        box = message.geo_bounding_box
        body["geo_bounding_box"] = {
            "top_left": _point(box.top_left),
            "bottom_right": _point(box.bottom_right),
        }
    for name in ("is_empty", "is_null"):
        if message.HasField(name):
            body[name] = getattr(message, name)
    return body


def _match(message: Any) -> Json:
    kind = message.WhichOneof("match_value")
    value = getattr(message, kind)
    lists = {
        "keywords": "any",
        "integers": "any",
        "except_keywords": "except",
        "except_integers": "except",
    }
    if kind in lists:
        values = value.strings if kind.endswith("keywords") else value.integers
        return {lists[kind]: list(values)}
    return {kind if kind in ("text", "text_any", "phrase") else "value": value}


def _point(message: Any) -> Json:
    return {"lon": message.lon, "lat": message.lat}
