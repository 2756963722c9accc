"""The `Collections` service: each method from its request to its reply."""

import time
from collections.abc import Callable
from typing import Any

from local.engine.node import Node
from local.engine.refusal import Json
from local.engine.rpc.schemas import collection_info, create_request, present
from local.engine.rpc.stubs import grpc_messages as messages

Service = dict[str, tuple[Callable[[Any], Any], Any]]


def collections_service(node: Node) -> Service:
    """Answer the service's methods, each with the class of its request."""

    def done(started: float, *, result: bool) -> Any:
        return messages.CollectionOperationResponse(result=result, time=time.perf_counter() - started)

    def get(request: Any) -> Any:
        info = node.collection(request.collection_name).info()
        return messages.GetCollectionInfoResponse(result=collection_info(info))

    def listing(_request: Any) -> Any:
        names = [messages.CollectionDescription(name=part.name) for part in node.collections()]
        return messages.ListCollectionsResponse(collections=names)

    def create(request: Any) -> Any:
        started = time.perf_counter()
        return done(started, result=node.create(request.collection_name, create_request(request)))

    def update(request: Any) -> Any:
        started = time.perf_counter()
        changes = {
            name: present(getattr(request, name))
            for name in ("params", "hnsw_config", "optimizers_config")
            if request.HasField(name)
        }
        node.collection(request.collection_name).change(changes)
        return done(started, result=True)

    def delete(request: Any) -> Any:
        started = time.perf_counter()
        return done(started, result=node.delete(request.collection_name))

    def update_aliases(request: Any) -> Any:
        started = time.perf_counter()
        changed = node.change_aliases({"actions": [_action(action) for action in request.actions]})
        return done(started, result=changed)

    def aliases(found: list[Json]) -> Any:
        return messages.ListAliasesResponse(aliases=[messages.AliasDescription(**part) for part in found])

    def exists(request: Any) -> Any:
        there = messages.CollectionExists(exists=node.exists(request.collection_name))
        return messages.CollectionExistsResponse(result=there)

    return {
        "Get": (get, messages.GetCollectionInfoRequest),
        "List": (listing, messages.ListCollectionsRequest),
        "Create": (create, messages.CreateCollection),
        "Update": (update, messages.UpdateCollection),
        "Delete": (delete, messages.DeleteCollection),
        "UpdateAliases": (update_aliases, messages.ChangeAliases),
        "ListAliases": (lambda _: aliases(node.aliases()), messages.ListAliasesRequest),
        "ListCollectionAliases": (
            lambda request: aliases(node.aliases(node.collection(request.collection_name).name)),
            messages.ListCollectionAliasesRequest,
        ),
        "CollectionExists": (exists, messages.CollectionExistsRequest),
    }


def _action(message: Any) -> Json:
    kind = message.WhichOneof("action")
    return {kind: present(getattr(message, kind))}
