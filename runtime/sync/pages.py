"""Points on their way from one engine to another: a page of them as bytes, and what tells two of them apart.

Owns the form of a scroll's answer and the digest of a point. A page is passed on as it came, so vectors of every kind
and payloads stay what the source said they are; it is only taken apart to be compared.

The digest of a set of points is the sum of the points' hashes: it does not depend on the order or on where a page
ends, can be put together from parts, and tells vectors apart by their 32-bit values and payloads by their JSON.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtime.errors import EngineError

PointId: TypeAlias = int | str
Point: TypeAlias = dict[str, Any]

_HASH_BYTES = 16
_MODULUS = 1 << 8 * _HASH_BYTES

_HEAD = re.compile(rb'\s*\{\s*"result"\s*:\s*\{\s*"points"\s*:\s*')
# What follows the points, to the very end of the answer: a payload may hold the same words, but not after them.
_TAIL = re.compile(
    rb'\s*,\s*"next_page_offset"\s*:\s*(null|\d+|"[0-9a-fA-F-]{36}")\s*\}\s*'
    rb',\s*"status"\s*:\s*"ok"\s*,\s*"time"\s*:\s*[0-9.eE+-]+\s*(,\s*"usage"\s*:\s*\{[^"\]]*("[^"\]]*)*\})?\s*\}\s*'
)
_TAIL_WORD = b'"next_page_offset"'


@dataclass(frozen=True, slots=True)
class Page:
    """Points in the order of their ids: `raw` is the JSON array, `next` the id that the following page begins with."""

    raw: bytes
    next: PointId | None

    def points(self) -> list[Point]:
        """Return the points, taken apart."""
        found: list[Point] = json.loads(self.raw)
        return found


def page(body: bytes) -> Page:
    """Read a scroll's answer. Raises EngineError when it is none."""
    head, at = _HEAD.match(body), body.rfind(_TAIL_WORD)
    comma = body.rfind(b",", 0, at) if at > 0 else -1
    if head and comma > 0 and (tail := _TAIL.fullmatch(body, comma)):
        return Page(body[head.end() : comma], json.loads(tail[1]))
    try:
        result = json.loads(body)["result"]
        return Page(json.dumps(result["points"]).encode(), result["next_page_offset"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError("Qdrant answered a scroll with something that is no page of points") from error


def order(identifier: PointId) -> tuple[bool, PointId]:
    """Return what ids are sorted by: numbers first, then UUIDs."""
    return isinstance(identifier, str), identifier


def digest(point: Point) -> int:
    """Return a point's hash: its id, its vectors as 32-bit numbers, its payload."""
    hashed = hashlib.blake2b(digest_size=_HASH_BYTES)
    hashed.update(json.dumps(point["id"]).encode())
    hashed.update(json.dumps(point.get("payload") or {}, sort_keys=True, separators=(",", ":")).encode())
    vectors = point.get("vector") or {}
    for name, vector in sorted(vectors.items()) if isinstance(vectors, dict) else (("", vectors),):
        hashed.update(f"\0{name}\0".encode())
        _add_vector(hashed, vector)
    return int.from_bytes(hashed.digest(), "big")


def total(digests: Iterable[int], start: int = 0) -> int:
    """Return the digest of a set of points from its points' digests, added to another set's."""
    return (start + sum(digests)) % _MODULUS


def _add_vector(hashed: "hashlib.blake2b", vector: Any) -> None:
    if isinstance(vector, Mapping):
        pairs = sorted(zip(vector["indices"], vector["values"], strict=True))
        hashed.update(b"sparse")
        hashed.update(array("Q", (index for index, _ in pairs)).tobytes())
        hashed.update(array("f", (value for _, value in pairs)).tobytes())
    elif vector and isinstance(vector[0], list):
        for row in vector:
            hashed.update(b"row")
            hashed.update(array("f", row).tobytes())
    else:
        hashed.update(array("f", vector).tobytes())
