"""`/telemetry` and the little of `/metrics` that exists: what the engine says of itself."""

import datetime as dt
import os
import uuid

from local.engine.collection import Collection
from local.engine.node import Node
from local.engine.refusal import Json
from local.engine.shard import Shard

_ID = str(uuid.uuid4())
_STARTED = dt.datetime.now(dt.UTC)


def telemetry(node: Node, level: int, version: str) -> Json:
    """Answer the telemetry at one level of detail; shards from level 3 on."""
    body: dict[str, Json] = {
        "id": _ID,
        "app": {"name": "qdrant", "version": version, "startup": _time(_STARTED)},
        "collections": {"number_of_collections": len(node.collections())},
        "cluster": {"enabled": False},
        "requests": {"rest": {"responses": {}}, "grpc": {"responses": {}}},
    }
    if level >= 1:
        body["app"] |= {
            "features": dict.fromkeys(
                ("debug", "service_debug_feature", "recovery_mode", "gpu", "rocksdb", "staging"), False
            ),
            "runtime_features": dict.fromkeys(
                (
                    "all",
                    "incremental_hnsw_building",
                    "appendable_quantization",
                    "single_file_mmap_vector_storage",
                ),
                False,
            ),
            "low_memory_mode": "disabled",
            "hnsw_global_config": {"healing_threshold": 0.3},
            "system": {"is_docker": False, "cores": os.cpu_count(), "cpu_endian": "little"},
        }
        body["collections"]["collections"] = [
            _collection(collection, node.peer, level) for collection in node.collections()
        ]
        body["collections"]["snapshots"] = [
            {
                "id": collection.name,
                "running_snapshots": 0,
                "running_snapshot_recovery": 0,
                "total_snapshot_creations": 0,
            }
            for collection in node.collections()
        ]
        body["memory"] = None
        body["search_pool"] = {"mode": "high_io", "high_cpu_threads": 1, "high_io_threads": 1}
        body["hardware"] = {"collection_data": {}}
    return body


def metrics(node: Node, version: str) -> str:
    """Answer a few of the real server's metrics in Prometheus' text form."""
    lines = [
        "# HELP app_info information about qdrant server",
        "# TYPE app_info gauge",
        f'app_info{{name="qdrant",version="{version}"}} 1',
        "# HELP collections_total number of collections",
        "# TYPE collections_total gauge",
        f"collections_total {len(node.collections())}",
    ]
    return "\n".join(lines) + "\n"


def _collection(collection: Collection, peer: int, level: int) -> Json:
    body: dict[str, Json] = {"id": collection.name, "init_time_ms": 1, "config": collection.config}
    if level >= 3:
        body["shards"] = [_shard(shard, peer, collection, level) for shard in collection.shards]
        body["transfers"] = []
        body["resharding"] = []
    return body


def _shard(shard: Shard, peer: int, collection: Collection, level: int) -> Json:
    points = shard.engine.info().points_count
    names = collection.vector_names()
    told: Json = {
        "id": shard.number,
        "key": None,
        "local": {
            "variant_name": "local shard",
            "status": "green",
            "total_optimized_points": 0,
            "vectors_size_bytes": 0,
            "payloads_size_bytes": 0,
            "num_points": points,
            "num_vectors": points * len(names),
            "num_vectors_by_name": dict.fromkeys(names, points),
            "optimizations": {
                "status": "ok",
                "optimizations": {"count": 0, "total_duration_micros": 0, "last_responded": _time(_STARTED)},
            },
            "async_scorer": False,
            "update_queue": {"length": 0, "op_num": shard.last_operation},
        },
        "remote": [],
        "replicate_states": {str(peer): "Active"},
        "partial_snapshot": {
            "ongoing_create_snapshot_requests": 0,
            "is_recovering": False,
            "recovery_timestamp": 0,
        },
    }
    if level >= 4:
        told["local"]["segments"] = [{"info": {"uuid": name}} for name in shard.segments()]
    return told


def _time(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
