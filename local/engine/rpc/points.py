"""The `Points` service: each method from its request to its reply."""

import time
from collections.abc import Callable
from typing import Any

from local.engine.node import Node
from local.engine.refusal import Json
from local.engine.rpc import answers, requests
from local.engine.rpc.collections import Service
from local.engine.rpc.filters import filter_json
from local.engine.rpc.schemas import index_schema
from local.engine.rpc.stubs import grpc_messages as messages


def points_service(node: Node) -> Service:
    """Answer the service's methods, each with the class of its request."""
    return _writes(node) | _reads(node)


def _writes(node: Node) -> Service:
    def write(kind: str, body: Callable[[Any], Json]) -> Callable[[Any], Any]:
        def method(request: Any) -> Any:
            started = time.perf_counter()
            number = node.collection(request.collection_name).write(kind, body(request))
            return _reply(request, number, started)

        return method

    def create_index(request: Any) -> Any:
        started = time.perf_counter()
        body = {"field_name": request.field_name, "field_schema": index_schema(request)}
        return _reply(request, node.collection(request.collection_name).create_index(body), started)

    def delete_index(request: Any) -> Any:
        started = time.perf_counter()
        return _reply(request, node.collection(request.collection_name).delete_index(request.field_name), started)

    def batch(request: Any) -> Any:
        started = time.perf_counter()
        operations = [dict([requests.update(operation)]) for operation in request.operations]
        numbers = node.collection(request.collection_name).batch({"operations": operations})
        results = [answers.updated(number, waited=request.wait) for number in numbers]
        return messages.UpdateBatchResponse(result=results, time=time.perf_counter() - started)

    return {
        "Upsert": (
            write("upsert", lambda request: {"points": requests.points(request.points)}),
            messages.UpsertPoints,
        ),
        "Delete": (write("delete", lambda request: requests.selector(request.points)), messages.DeletePoints),
        "SetPayload": (write("set_payload", requests.set_payload), messages.SetPayloadPoints),
        "OverwritePayload": (write("overwrite_payload", requests.set_payload), messages.SetPayloadPoints),
        "DeletePayload": (
            write(
                "delete_payload",
                lambda request: requests.selector(request.points_selector) | {"keys": list(request.keys)},
            ),
            messages.DeletePayloadPoints,
        ),
        "ClearPayload": (
            write("clear_payload", lambda request: requests.selector(request.points)),
            messages.ClearPayloadPoints,
        ),
        "UpdateVectors": (
            write("update_vectors", lambda request: {"points": requests.point_vectors(request.points)}),
            messages.UpdatePointVectors,
        ),
        "DeleteVectors": (
            write(
                "delete_vectors",
                lambda request: requests.selector(request.points_selector) | {"vector": list(request.vectors.names)},
            ),
            messages.DeletePointVectors,
        ),
        "UpdateBatch": (batch, messages.UpdateBatchPoints),
        "CreateFieldIndex": (create_index, messages.CreateFieldIndexCollection),
        "DeleteFieldIndex": (delete_index, messages.DeleteFieldIndexCollection),
    }


def _reads(node: Node) -> Service:
    def get(request: Any) -> Any:
        body = {"ids": [requests.point_id(identity) for identity in request.ids]} | requests.parts(request)
        found = node.collection(request.collection_name).retrieve(body)
        return messages.GetResponse(result=[answers.retrieved(point) for point in found])

    def scroll(request: Any) -> Any:
        body = requests.scalars(request, "limit") | requests.parts(request)
        body["filter"] = filter_json(request.filter)
        if request.HasField("offset"):
            body["offset"] = requests.point_id(request.offset)
        if request.HasField("order_by"):
            body["order_by"] = requests.order_by(request.order_by)
        page = node.collection(request.collection_name).scroll(body)
        following = page["next_page_offset"]
        return messages.ScrollResponse(
            result=[answers.retrieved(point) for point in page["points"]],
            next_page_offset=None if following is None else answers.point_id(following),
        )

    def count(request: Any) -> Any:
        number = node.collection(request.collection_name).count({"filter": filter_json(request.filter)})
        return messages.CountResponse(result=messages.CountResult(count=number))

    def search(request: Any) -> list[Any]:
        vector: Json = list(request.vector)
        if request.HasField("sparse_indices"):
            vector = {"indices": list(request.sparse_indices.data), "values": vector}
        body = requests.scalars(request, "score_threshold", "offset") | requests.parts(request)
        body |= {"query": vector, "using": request.vector_name, "limit": request.limit}
        body["filter"] = filter_json(request.filter)
        return _scored(node.collection(request.collection_name).query(body))

    def query(request: Any) -> list[Any]:
        body = requests.query(request) | requests.scalars(request, "offset") | requests.parts(request)
        return _scored(node.collection(request.collection_name).query(body))

    return {
        "Get": (get, messages.GetPoints),
        "Scroll": (scroll, messages.ScrollPoints),
        "Count": (count, messages.CountPoints),
        "Search": (lambda request: messages.SearchResponse(result=search(request)), messages.SearchPoints),
        "Query": (lambda request: messages.QueryResponse(result=query(request)), messages.QueryPoints),
        "QueryBatch": (
            lambda request: messages.QueryBatchResponse(
                result=[messages.BatchResult(result=query(part)) for part in request.query_points]
            ),
            messages.QueryBatchPoints,
        ),
    }


def _scored(found: list[Json]) -> list[Any]:
    return [answers.scored(point) for point in found]


def _reply(request: Any, number: int, started: float) -> Any:
    return messages.PointsOperationResponse(
        result=answers.updated(number, waited=request.wait), time=time.perf_counter() - started
    )
