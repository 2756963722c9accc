"""What is sent to Qdrant to do recorded writes again.

Owns the requests: always answered when applied (`wait=true`), several plain ones of a collection joined into one batch
without reading more of their bodies than how deep they are. Sends nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from runtime.edge.effects import Effect
from runtime.journal.order import Entry

MOST_JOINED: Final = 256
# Qdrant parses a batch of large bodies slower than each by itself (measured with 100 points of 768 dimensions).
MOST_JOINED_BYTES: Final = 256 * 1024
# Qdrant reads JSON of 127 levels, and a batch adds three.
_DEEPEST_JOINED: Final = 100
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_A_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
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
_NUMBERED: Final = frozenset({Effect.POINTS, Effect.BATCH, Effect.SCHEMA})
# These have `wait` as field 2; appended, it is the value that counts.
_WAITS: Final = "/qdrant.Points/"
_WAIT_IS_TRUE: Final = b"\x10\x01"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: by `rest` with method, path and body, or by `rpc` with the full method as path.

    `entries` are what it does, in order. `may_fail`: Qdrant had refused it, or only acknowledged it.
    """

    transport: str
    method: str
    path: str
    body: bytes
    entries: tuple[Entry, ...]
    may_fail: bool


def calls(entries: Sequence[tuple[Entry, bytes]]) -> Iterator[Call]:
    """Return the requests for some entries of one collection with their bodies, in order."""
    joined: list[tuple[Entry, str, bytes]] = []
    size = 0
    for entry, body in entries:
        operation = _joinable(entry, body)
        if joined and (operation is None or len(joined) == MOST_JOINED or size + len(body) > MOST_JOINED_BYTES):
            yield _joined(joined)
            joined, size = [], 0
        if operation is None:
            yield _single(entry, body)
        else:
            joined.append((entry, operation, body))
            size += len(body)
    if joined:
        yield _joined(joined)


def _joinable(entry: Entry, body: bytes) -> str | None:
    """Return what it is called in a batch; None when it has to go by itself."""
    record = entry.record
    if record.transport != "rest" or record.turn != "shared" or not record.applied:
        return None
    if len(body) > MOST_JOINED_BYTES or _is_deep(body):
        return None
    return _OPERATIONS.get((record.method, _below_collection(record.path)))


def _is_deep(body: bytes) -> bool:
    """Whether JSON is nested so deep that it cannot be put into a batch; most bodies have too few brackets for that."""
    if body.count(b"{") + body.count(b"[") <= _DEEPEST_JOINED:
        return False
    brackets = _TEXT.sub(b"", body).translate(None, _NOT_A_BRACKET)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0) > _DEEPEST_JOINED


def _joined(operations: Sequence[tuple[Entry, str, bytes]]) -> Call:
    entries = tuple(entry for entry, _, _ in operations)
    if len(entries) == 1:
        return _single(entries[0], operations[0][2])
    body = b",".join(b'{"%s":%s}' % (name.encode(), body) for _, name, body in operations)
    path = f"/collections/{quote(entries[0].record.collection or '', safe='')}/points/batch?wait=true"
    return Call("rest", "POST", path, b'{"operations":[%s]}' % body, entries, may_fail=False)


def _single(entry: Entry, body: bytes) -> Call:
    record = entry.record
    if record.transport == "rpc":
        waiting = body + _WAIT_IS_TRUE if record.path.startswith(_WAITS) else body
        return Call("rpc", "", record.path, waiting, (entry,), may_fail=not record.applied)
    path = _waiting(record.path) if record.effect in _NUMBERED else record.path
    return Call("rest", record.method, path, body, (entry,), may_fail=not record.applied)


def _below_collection(path: str) -> str:
    """Return what follows `/collections/NAME/`, without the query."""
    return "/".join([part for part in path.partition("?")[0].split("/") if part][2:])


def _waiting(path: str) -> str:
    bare, _, query = path.partition("?")
    kept = [
        (name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in {"wait", "timeout"}
    ]
    return f"{bare}?{urlencode([*kept, ('wait', 'true')])}"
