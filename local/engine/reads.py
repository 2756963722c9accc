"""Scroll, retrieve and count over the shards of a collection, merged as if there were one."""

from typing import Any

import qdrant_edge as edge

from local.engine.conditions import edge_filter
from local.engine.refusal import Json, Refusal
from local.engine.routing import shard_of
from local.engine.shard import Shard
from local.engine.vectors import id_order, id_to_json, point_id, vector_to_json


def payload_selector(value: Json) -> Json:
    """Answer which parts of payloads the engine shall give."""
    if isinstance(value, dict):
        if "include" in value:
            return edge.PayloadSelector.Include(value["include"])
        return edge.PayloadSelector.Exclude(value.get("exclude") or [])
    return value


def record_to_json(record: Any, *, payload: Json, vector: Json) -> dict[str, Json]:
    """Answer a point as it stands in JSON; parts that were not asked for are left out."""
    body: dict[str, Json] = {"id": id_to_json(record.id)}
    if payload:
        body["payload"] = record.payload or {}
    if vector:
        body["vector"] = vector_to_json(record.vector if record.vector is not None else {})
    if record.order_value is not None:
        body["order_value"] = record.order_value
    return body


def retrieve(shards: list[Shard], body: Json) -> list[Json]:
    """Answer the points with the given ids that exist."""
    payload, vector = body.get("with_payload", True), body.get("with_vector", False)
    found: dict[int | str, Json] = {}
    wanted = [point_id(value) for value in body.get("ids") or []]
    for shard in shards:
        mine: list[Any] = [identity for identity in wanted if shard_of(identity, len(shards)) == shard.number]
        for record in shard.engine.retrieve(mine, payload_selector(payload), vector) if mine else []:
            found[id_to_json(record.id)] = record_to_json(record, payload=payload, vector=vector)
    return [found[identity] for identity in wanted if identity in found]


def scroll(shards: list[Shard], body: Json) -> Json:
    """Answer one page of points and where the next begins."""
    payload, vector = body.get("with_payload", True), body.get("with_vector", False)
    limit = 10 if body.get("limit") is None else body["limit"]
    if not isinstance(limit, int) or limit < 1:
        raise Refusal(
            422,
            f"Validation error in JSON body: [scroll_request.limit: value {limit} invalid, must be 1 or larger]",
        )
    order = order_by(body.get("order_by"))
    offset: Any = None if body.get("offset") is None else point_id(body["offset"])
    request = edge.ScrollRequest(
        offset=offset,
        limit=limit + 1 if order is None else limit,
        filter=edge_filter(body.get("filter")),
        with_payload=payload_selector(payload),
        with_vector=vector,
        order_by=order,
    )
    records = [record for shard in shards for record in shard.engine.scroll(request)[0]]
    points = [record_to_json(record, payload=payload, vector=vector) for record in records]
    if order is None:
        points.sort(key=lambda point: id_order(point["id"]))
    else:
        points.sort(key=lambda point: point["order_value"], reverse=order.direction == edge.Direction.Desc)
    more = len(points) > limit and order is None
    return {"points": points[:limit], "next_page_offset": points[limit]["id"] if more else None}


def order_by(body: Json) -> edge.OrderBy | None:
    """Answer by which payload field to sort, if by any."""
    if body is None:
        return None
    if isinstance(body, str):
        return edge.OrderBy(body, edge.Direction.Asc)
    direction = edge.Direction.Desc if body.get("direction") == "desc" else edge.Direction.Asc
    return edge.OrderBy(body["key"], direction, body.get("start_from"))


def count(shards: list[Shard], body: Json) -> int:
    """Answer how many points match; always exactly, which an estimate may be too."""
    request = edge.CountRequest(exact=True, filter=edge_filter((body or {}).get("filter")))
    return sum(shard.engine.count(request) for shard in shards)
