"""Every REST route of Qdrant 1.18 and 1.19: what it changes, and where its collection's name is.

Owns the REST half of the table that the gate and HAProxy's configuration are both made from. A route that is
not here is a write of unknown effect. Paths are read as Qdrant's server reads them: slashes merged, the last
one dropped, segments percent-decoded after they were split. Decides nothing about who may call.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from runtime.edge.effects import Effect, Write

READ: Final = None
COLLECTION: Final = "{c}"
ANYTHING: Final = "*"
BELOW: Final = "**"


class Route(NamedTuple):
    """One method of one path: `{c}` is the collection's name, `*` any segment, `**` all that follows."""

    method: str
    path: str
    effect: Effect | None


# Requests of these methods are reads wherever they go: Qdrant answers CORS preflights alike on every path.
SAFE_METHODS: Final = frozenset({"OPTIONS"})
# Whatever a GET may do a HEAD may do.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_READS: Final = """
GET /
GET /healthz
GET /livez
GET /readyz
GET /metrics
GET /telemetry
GET /stacktrace
GET /logger
GET /debugger
GET /profiler/slow_requests
GET /issues
GET /quotas
POST /audit/logs
GET /aliases
GET /cluster
GET /cluster/telemetry
GET /cluster/metadata/keys
GET /cluster/metadata/keys/*
GET /dashboard
GET /dashboard/**
GET /snapshots
GET /snapshots/*
GET /collections
GET /collections/{c}
GET /collections/{c}/aliases
GET /collections/{c}/cluster
GET /collections/{c}/exists
GET /collections/{c}/memory
GET /collections/{c}/optimizations
GET /collections/{c}/points/*
GET /collections/{c}/shards
GET /collections/{c}/snapshots
GET /collections/{c}/snapshots/*
GET /collections/{c}/shards/*/snapshot
GET /collections/{c}/shards/*/snapshot/partial/manifest
GET /collections/{c}/shards/*/snapshots
GET /collections/{c}/shards/*/snapshots/*
POST /collections/{c}/facet
POST /collections/{c}/points
POST /collections/{c}/points/count
POST /collections/{c}/points/discover
POST /collections/{c}/points/discover/batch
POST /collections/{c}/points/query
POST /collections/{c}/points/query/batch
POST /collections/{c}/points/query/groups
POST /collections/{c}/points/recommend
POST /collections/{c}/points/recommend/batch
POST /collections/{c}/points/recommend/groups
POST /collections/{c}/points/scroll
POST /collections/{c}/points/search
POST /collections/{c}/points/search/batch
POST /collections/{c}/points/search/groups
POST /collections/{c}/points/search/matrix/offsets
POST /collections/{c}/points/search/matrix/pairs
POST /collections/{c}/shards/*/points
POST /collections/{c}/shards/*/points/count
POST /collections/{c}/shards/*/points/scroll
"""

_WRITES: Final = (
    Route("PUT", "/collections/{c}/points", Effect.POINTS),
    Route("POST", "/collections/{c}/points/batch", Effect.BATCH),
    Route("POST", "/collections/{c}/points/delete", Effect.POINTS),
    Route("PUT", "/collections/{c}/points/payload", Effect.POINTS),
    Route("POST", "/collections/{c}/points/payload", Effect.POINTS),
    Route("POST", "/collections/{c}/points/payload/clear", Effect.POINTS),
    Route("POST", "/collections/{c}/points/payload/delete", Effect.POINTS),
    Route("PUT", "/collections/{c}/points/vectors", Effect.POINTS),
    Route("POST", "/collections/{c}/points/vectors/delete", Effect.POINTS),
    Route("PUT", "/collections/{c}/index", Effect.SCHEMA),
    Route("DELETE", "/collections/{c}/index/*", Effect.SCHEMA),
    Route("POST", "/collections/{c}/shards/*/cleanup", Effect.SCHEMA),
    Route("PATCH", "/collections/{c}", Effect.SCHEMA),
    Route("PUT", "/collections/{c}", Effect.REPLACE),
    Route("DELETE", "/collections/{c}", Effect.REPLACE),
    # These change which shards or which files of a segment there are: rare enough to start full after them.
    Route("PUT", "/collections/{c}/vectors/*", Effect.REPLACE),
    Route("DELETE", "/collections/{c}/vectors/*", Effect.REPLACE),
    Route("PUT", "/collections/{c}/shards", Effect.REPLACE),
    Route("POST", "/collections/{c}/shards/delete", Effect.REPLACE),
    Route("POST", "/collections/{c}/cluster", Effect.REPLACE),
    Route("POST", "/collections/{c}/truncate_unapplied_wal", Effect.REPLACE),
    Route("PUT", "/collections/{c}/snapshots/recover", Effect.RECOVER),
    Route("POST", "/collections/{c}/snapshots/upload", Effect.RECOVER),
    Route("PUT", "/collections/{c}/shards/*/snapshots/recover", Effect.RECOVER),
    Route("POST", "/collections/{c}/shards/*/snapshots/upload", Effect.RECOVER),
    Route("POST", "/collections/{c}/shards/*/snapshot/partial/recover", Effect.RECOVER),
    Route("POST", "/collections/{c}/shards/*/snapshot/partial/recover_from", Effect.RECOVER),
    Route("POST", "/collections/aliases", Effect.CATALOG),
    Route("POST", "/collections/{c}/snapshots", Effect.NOTHING),
    Route("DELETE", "/collections/{c}/snapshots/*", Effect.NOTHING),
    Route("POST", "/collections/{c}/shards/*/snapshots", Effect.NOTHING),
    Route("DELETE", "/collections/{c}/shards/*/snapshots/*", Effect.NOTHING),
    Route("POST", "/collections/{c}/shards/*/snapshot/partial/create", Effect.NOTHING),
    Route("POST", "/snapshots", Effect.NOTHING),
    Route("DELETE", "/snapshots/*", Effect.NOTHING),
    Route("DELETE", "/issues", Effect.NOTHING),
    Route("POST", "/logger", Effect.NOTHING),
    Route("PATCH", "/debugger", Effect.NOTHING),
    Route("PUT", "/quotas", Effect.NOTHING),
    Route("PUT", "/cluster/metadata/keys/*", Effect.NOTHING),
    Route("DELETE", "/cluster/metadata/keys/*", Effect.NOTHING),
    # Consensus operations move or drop shards of any collection.
    Route("POST", "/cluster/recover", Effect.UNKNOWN),
    Route("DELETE", "/cluster/peer/*", Effect.UNKNOWN),
)

ROUTES: Final = (
    *(Route(method, path, READ) for method, path in map(str.split, _READS.strip().splitlines())),
    *_WRITES,
)

_UNKNOWN: Final = Write(Effect.UNKNOWN)
_PLAIN: Final = re.compile(r"/[!$-.0-;=@-Z_a-z~%/]*")
_SLASHES: Final = re.compile("//+")
_SHAPES: Final[dict[tuple[str, int], list[tuple[tuple[str, ...], Effect | None]]]] = {}
_BELOW: Final[list[tuple[str, str, Effect | None]]] = []
for _route in ROUTES:
    _segments = tuple(_route.path.split("/"))
    if _segments[-1] == BELOW:
        _BELOW.append((_route.method, _route.path.removesuffix(BELOW), _route.effect))
    else:
        _SHAPES.setdefault((_route.method, len(_segments)), []).append((_segments, _route.effect))


def classify_rest(method: str, raw_path: str) -> Write | None:
    """Return what a request may change, None for a read. `raw_path` is as sent, with or without its query."""
    if method in SAFE_METHODS:
        return READ
    if method == "HEAD":
        method = "GET"
    path = raw_path.partition("?")[0]
    if _PLAIN.fullmatch(path) is None:
        return _UNKNOWN
    path = _SLASHES.sub("/", path).rstrip("/") or "/"
    segments = [unquote(segment) for segment in path.split("/")] if "%" in path else path.split("/")
    for pattern, effect in _SHAPES.get((method, len(segments)), ()):
        if all(p in {COLLECTION, ANYTHING} or p == s for p, s in zip(pattern, segments, strict=True)):
            return _write(effect, pattern, segments)
    for known, prefix, effect in _BELOW:
        if known == method and path.startswith(prefix):
            return _write(effect, (), segments)
    return _UNKNOWN


def _write(effect: Effect | None, pattern: tuple[str, ...], segments: list[str]) -> Write | None:
    if effect is READ:
        return READ
    return Write(effect, segments[pattern.index(COLLECTION)] if COLLECTION in pattern else None)
