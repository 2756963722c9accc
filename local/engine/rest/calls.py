"""The REST routes whose answer is JSON in Qdrant's envelope: a table from route to a plain function.

Each function takes the node and the call and answers the result; nothing here knows of HTTP beyond that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from local.engine.collection import Collection
from local.engine.node import Node
from local.engine.refusal import Json, not_found, wrong_input
from local.engine.vectors import point_id


@dataclass(frozen=True)
class Call:
    """One request: the parts of its path, its query and its body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json

    def collection(self, node: Node) -> Collection:
        """Answer the collection that the path names."""
        return node.collection(self.path["name"])

    def shard(self) -> int:
        """Answer the shard that the path names."""
        return int(self.path["shard"])


Answer = Callable[[Node, Call], Json]


def _result(call: Call, number: int) -> Json:
    # `wait` decides nothing here: a write is always applied before it is answered.
    waited = call.query.get("wait", "false") == "true"
    return {"operation_id": number, "status": "completed" if waited else "acknowledged"}


def _write(kind: str) -> Answer:
    return lambda node, call: _result(call, call.collection(node).write(kind, call.body))


def _point(node: Node, call: Call) -> Json:
    text = call.path["id"]
    try:
        identity = point_id(int(text) if text.isdigit() else text)
    except Exception as error:
        raise wrong_input(f'Can not recognize "{text}" as point id') from error
    found = call.collection(node).retrieve({"ids": [identity], "with_vector": True})
    if not found:
        raise not_found(f"Point with id {identity} does not exists!")
    return found[0]


def _update(node: Node, call: Call) -> Json:
    call.collection(node).change(call.body)
    return True


def _cluster(node: Node, call: Call) -> Json:
    shards = call.collection(node).shards
    return {
        "peer_id": node.peer,
        "shard_count": len(shards),
        "local_shards": [
            {"shard_id": shard.number, "points_count": shard.engine.info().points_count, "state": "Active"}
            for shard in shards
        ],
        "remote_shards": [],
        "shard_transfers": [],
    }


def _batches(one: Callable[[Collection, Json], list[Json]], wrap: Callable[[list[Json]], Json]) -> Answer:
    return lambda node, call: [wrap(one(call.collection(node), part)) for part in call.body["searches"]]


def _points(found: list[Json]) -> Json:
    return {"points": found}


_C: Final = "/collections/{name}"
ROUTES: Final[list[tuple[str, str, Answer]]] = [
    (
        "GET",
        "/collections",
        lambda node, _: {"collections": [{"name": part.name} for part in node.collections()]},
    ),
    ("GET", "/cluster", lambda _node, _call: {"status": "disabled"}),
    ("GET", "/aliases", lambda node, _: {"aliases": node.aliases()}),
    ("POST", "/collections/aliases", lambda node, call: node.change_aliases(call.body)),
    ("GET", _C, lambda node, call: call.collection(node).info()),
    ("PUT", _C, lambda node, call: node.create(call.path["name"], call.body)),
    ("PATCH", _C, _update),
    ("DELETE", _C, lambda node, call: node.delete(call.path["name"])),
    ("GET", f"{_C}/exists", lambda node, call: {"exists": node.exists(call.path["name"])}),
    ("GET", f"{_C}/aliases", lambda node, call: {"aliases": node.aliases(call.collection(node).name)}),
    ("GET", f"{_C}/cluster", _cluster),
    ("PUT", f"{_C}/index", lambda node, call: _result(call, call.collection(node).create_index(call.body))),
    (
        "DELETE",
        f"{_C}/index/{{field}}",
        lambda node, call: _result(call, call.collection(node).delete_index(call.path["field"])),
    ),
    ("PUT", f"{_C}/points", _write("upsert")),
    ("POST", f"{_C}/points", lambda node, call: call.collection(node).retrieve(call.body)),
    ("POST", f"{_C}/points/delete", _write("delete")),
    ("POST", f"{_C}/points/payload", _write("set_payload")),
    ("PUT", f"{_C}/points/payload", _write("overwrite_payload")),
    ("POST", f"{_C}/points/payload/delete", _write("delete_payload")),
    ("POST", f"{_C}/points/payload/clear", _write("clear_payload")),
    ("PUT", f"{_C}/points/vectors", _write("update_vectors")),
    ("POST", f"{_C}/points/vectors/delete", _write("delete_vectors")),
    (
        "POST",
        f"{_C}/points/batch",
        lambda node, call: [_result(call, number) for number in call.collection(node).batch(call.body)],
    ),
    ("POST", f"{_C}/points/scroll", lambda node, call: call.collection(node).scroll(call.body)),
    ("POST", f"{_C}/points/count", lambda node, call: {"count": call.collection(node).count(call.body)}),
    ("POST", f"{_C}/points/search", lambda node, call: call.collection(node).search(call.body)),
    ("POST", f"{_C}/points/search/batch", _batches(Collection.search, list)),
    ("POST", f"{_C}/points/query", lambda node, call: _points(call.collection(node).query(call.body))),
    ("POST", f"{_C}/points/query/batch", _batches(Collection.query, _points)),
    ("GET", f"{_C}/points/{{id}}", _point),
    (
        "GET",
        f"{_C}/shards/{{shard}}/snapshot/partial/manifest",
        lambda node, call: call.collection(node).shard(call.shard()).manifest(),
    ),
]
