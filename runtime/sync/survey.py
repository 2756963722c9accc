"""What an engine holds, told by a handful of requests: enough to see whether anything changed since last time.

Owns the fingerprint of a collection: it is equal as long as nothing was written, and not known where nobody can tell.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import EngineError
from runtime.sync.remote import Absent, Denied, Remote

# From here on segments are told with their ids. Without them a collection that was made anew, with as many writes as
# before, would look unchanged.
_DETAILS = 4


@dataclass(frozen=True, slots=True)
class Survey:
    """An engine as it is: `collections` has each one's fingerprint, None where it cannot be told.

    `is_whole`: one node holds everything there is, so that its snapshots do, too.
    """

    version: str
    is_whole: bool
    collections: Mapping[str, str | None]
    aliases: Mapping[str, str]


async def survey(remote: Remote, wanted: tuple[str, ...] = ()) -> Survey:
    """Look at an engine: five requests, however many collections it has. `wanted`: these alone, empty for all.

    Raises EngineError.
    """
    version = await remote.version()
    is_whole = await _is_one_node(remote)
    names = [name for name in await remote.collections() if not wanted or name in wanted]
    prints = await fingerprints(remote) if is_whole else {}
    aliases = {alias: name for alias, name in (await remote.aliases()).items() if name in names}
    return Survey(version, is_whole, {name: prints.get(name) for name in names}, aliases)


async def fingerprints(remote: Remote) -> dict[str, str]:
    """Return the fingerprints of a single node's collections, as far as they can be told. Raises EngineError."""
    try:
        told = await remote.result("GET", f"/telemetry?details_level={_DETAILS}")
    except (Denied, Absent):
        return {}
    return dict(_prints(told))


def _prints(told: Any) -> Iterator[tuple[str, str]]:
    try:
        for collection in told["collections"]["collections"]:
            shards = [_shard(shard) for shard in collection["shards"]]
            if all(shards):
                facts = json.dumps([collection["config"], shards], sort_keys=True)
                yield collection["id"], hashlib.sha256(facts.encode()).hexdigest()
    except (KeyError, TypeError):
        return


def _shard(shard: Any) -> list[Any] | None:
    """Return what changes with every write to a shard, or None when it is not told or about to change."""
    local = shard.get("local")
    if not local or not local.get("update_queue") or not local.get("segments"):
        return None
    queue, ids = local["update_queue"], [segment["info"].get("uuid") for segment in local["segments"]]
    if queue["length"] or queue["op_num"] is None or not all(ids):
        return None
    return [shard["id"], queue["op_num"], sorted(ids)]


async def _is_one_node(remote: Remote) -> bool:
    """Whether a single node holds everything; False when it will not tell."""
    try:
        cluster = await remote.result("GET", "/cluster")
    except (Denied, Absent):
        return False
    if not isinstance(cluster, dict):
        raise EngineError(f"{remote} answered GET /cluster with something that is not Qdrant's")
    return cluster.get("status") == "disabled" or len(cluster.get("peers") or {}) == 1
