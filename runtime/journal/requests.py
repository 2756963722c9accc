"""What is sent to Qdrant to do recorded writes again.

Owns the requests: always answered when applied (`wait=true`), several plain ones of a collection joined into one batch
without reading their bodies, one operation taken out of a batch. Sends nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from runtime.edge.rpc_routes import wire_fields
from runtime.errors import IntegrityError
from runtime.journal.order import Entry, Step

_MOST_JOINED: Final = 256
_MOST_JOINED_BYTES: Final = 4 * 1024 * 1024
# What each route's body is called as an operation of `points/batch`.
_OPERATIONS: Final = {
    ("PUT", "points"): "upsert",
    ("POST", "points/delete"): "delete",
    ("POST", "points/payload"): "set_payload",
    ("PUT", "points/payload"): "overwrite_payload",
    ("POST", "points/payload/delete"): "delete_payload",
    ("POST", "points/payload/clear"): "clear_payload",
    ("PUT", "points/vectors"): "update_vectors",
    ("POST", "points/vectors/delete"): "delete_vectors",
}
_UPDATE_BATCH: Final = "/qdrant.Points/UpdateBatch"
# These have `wait` as field 2; appended, it is the value that counts.
_WAITS: Final = "/qdrant.Points/"
_WAIT_IS_TRUE: Final = b"\x10\x01"
_COLLECTION_FIELD, _OPERATION_FIELD = 1, 3


@dataclass(frozen=True, slots=True)
class Call:
    """One request: by `rest` with method, path and body, or by `rpc` with the full method as path.

    `steps` are what it does, in order. `may_fail`: Qdrant had only acknowledged it, and may never have applied it.
    """

    transport: str
    method: str
    path: str
    body: bytes
    steps: tuple[Step, ...]
    may_fail: bool


def calls(steps: Sequence[tuple[Step, bytes]]) -> Iterator[Call]:
    """Return the requests for some steps of one collection with the bodies of their entries, in order."""
    joined: list[tuple[Step, str, bytes]] = []
    size = 0
    for step, body in steps:
        operation = _joinable(step)
        if joined and (operation is None or len(joined) == _MOST_JOINED or size + len(body) > _MOST_JOINED_BYTES):
            yield _joined(joined)
            joined, size = [], 0
        if operation is None:
            yield _single(step, body)
        else:
            joined.append((step, operation, body))
            size += len(body)
    if joined:
        yield _joined(joined)


def _joinable(step: Step) -> str | None:
    """Return what the step is called in a batch; None when it has to go by itself."""
    record = step.entry.record
    if record.transport != "rest" or record.turn != "shared" or not record.applied or step.part is not None:
        return None
    return _OPERATIONS.get((record.method, _below_collection(record.path)))


def _joined(operations: Sequence[tuple[Step, str, bytes]]) -> Call:
    steps = tuple(step for step, _, _ in operations)
    if len(steps) == 1:
        return _single(steps[0], operations[0][2])
    body = b",".join(b'{"%s":%s}' % (name.encode(), body) for _, name, body in operations)
    path = f"/collections/{quote(steps[0].entry.record.collection or '', safe='')}/points/batch?wait=true"
    return Call("rest", "POST", path, b'{"operations":[%s]}' % body, steps, may_fail=False)


def _single(step: Step, body: bytes) -> Call:
    record = step.entry.record
    if record.transport == "rpc":
        if step.part is not None:
            body = _rpc_part(step.entry, body, step.part)
        if record.path.startswith(_WAITS):
            body += _WAIT_IS_TRUE
        return Call("rpc", "", record.path, body, (step,), may_fail=not record.applied)
    if step.part is not None:
        body = _rest_part(step.entry, body, step.part)
    path = _waiting(record.path) if record.ids else record.path
    return Call("rest", record.method, path, body, (step,), may_fail=not record.applied and bool(record.ids))


def _below_collection(path: str) -> str:
    """Return what follows `/collections/NAME/`, without the query."""
    return "/".join([part for part in path.partition("?")[0].split("/") if part][2:])


def _waiting(path: str) -> str:
    bare, _, query = path.partition("?")
    kept = [
        (name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in {"wait", "timeout"}
    ]
    return f"{bare}?{urlencode([*kept, ('wait', 'true')])}"


def _rest_part(entry: Entry, body: bytes, part: int) -> bytes:
    try:
        operations = json.loads(body)["operations"]
        if len(operations) != len(entry.record.ids):
            raise ValueError("its operations are not those that were answered")
        return json.dumps({"operations": [operations[part]]}).encode()
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"record {entry.name} of the journal is no batch: {error}") from error


def _rpc_part(entry: Entry, body: bytes, part: int) -> bytes:
    fields = list(wire_fields(body))
    operations = [raw for number, raw in fields if number == _OPERATION_FIELD]
    if entry.record.path != _UPDATE_BATCH or len(operations) != len(entry.record.ids):
        raise IntegrityError(f"record {entry.name} of the journal is no batch of the operations that were answered")
    return b"".join(raw for number, raw in fields if number == _COLLECTION_FIELD) + operations[part]
