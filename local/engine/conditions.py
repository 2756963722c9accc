"""Filters: from Qdrant's JSON to the engine's own objects."""

from collections.abc import Callable

import qdrant_edge as edge

from local.engine.refusal import Json, malformed
from local.engine.vectors import point_id


def edge_filter(body: Json) -> edge.Filter | None:
    """Answer a filter as the engine takes it."""
    if body is None:
        return None
    if not isinstance(body, dict):
        raise malformed("expected struct Filter")
    least = body.get("min_should")
    return edge.Filter(
        must=_conditions(body.get("must")),
        should=_conditions(body.get("should")),
        must_not=_conditions(body.get("must_not")),
        min_should=edge.MinShould(_conditions(least["conditions"]) or [], least["min_count"]) if least else None,
    )


def excluding(filter_: Json, points: list[int | str]) -> Json:
    """Answer a filter in JSON that also leaves out `points`."""
    if not points:
        return filter_
    unwanted: list[Json] = [{"has_id": points}]
    return {"must": [filter_], "must_not": unwanted} if filter_ else {"must_not": unwanted}


def _conditions(body: Json) -> list[Json] | None:
    if body is None:
        return None
    return [_condition(part) for part in (body if isinstance(body, list) else [body])]


def _condition(body: Json) -> Json:
    if not isinstance(body, dict):
        raise malformed("expected a condition")
    if "key" in body:
        return _field(body)
    for name, build in _SPECIAL.items():
        if name in body:
            return build(body[name])
    return edge_filter(body)


_SPECIAL: dict[str, Callable[[Json], Json]] = {
    "has_id": lambda ids: edge.HasIdCondition({point_id(value) for value in ids}),
    "has_vector": edge.HasVectorCondition,
    "nested": lambda nested: edge.NestedCondition(nested["key"], edge_filter(nested["filter"]) or edge.Filter()),
    "is_empty": lambda body: _emptiness(body, edge.IsEmptyCondition),
    "is_null": lambda body: _emptiness(body, edge.IsNullCondition),
}


def _emptiness(body: Json, condition: Callable[[str], Json]) -> Json:
    """Build one of two conditions that, inside a field condition, are a plain yes or no instead."""
    return condition(body["key"])


def _field(body: Json) -> Json:
    return edge.FieldCondition(
        body["key"],
        match=_match(body.get("match")),
        range=_range(body.get("range")),
        geo_bounding_box=_box(body.get("geo_bounding_box")),
        geo_radius=_radius(body.get("geo_radius")),
        values_count=edge.ValuesCount(**body["values_count"]) if body.get("values_count") else None,
        is_empty=body.get("is_empty"),
        is_null=body.get("is_null"),
    )


def _match(body: Json) -> Json:
    if body is None:
        return None
    kinds: dict[str, Callable[[Json], Json]] = {
        "value": edge.MatchValue,
        "text": edge.MatchText,
        "text_any": edge.MatchTextAny,
        "phrase": edge.MatchPhrase,
        "any": edge.MatchAny,
        "except": edge.MatchExcept,
    }
    for name, build in kinds.items():
        if name in body:
            return build(body[name])
    raise malformed("data did not match any variant of untagged enum MatchInterface")


def _range(body: Json) -> Json:
    if body is None:
        return None
    dated = any(isinstance(value, str) for value in body.values())
    return (edge.RangeDateTime if dated else edge.RangeFloat)(**body)


def _point(body: Json) -> edge.GeoPoint:
    return edge.GeoPoint(body["lon"], body["lat"])


def _box(body: Json) -> Json:
    return edge.GeoBoundingBox(_point(body["top_left"]), _point(body["bottom_right"])) if body else None


def _radius(body: Json) -> Json:
    return edge.GeoRadius(_point(body["center"]), body["radius"]) if body else None
