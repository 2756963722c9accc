"""A collection's configuration: what a request asks for, with Qdrant's defaults, and as the engine wants it.

Owns the content of `config.json`; nothing here touches a disk.
"""

from typing import Final

import qdrant_edge as edge

from local.engine.refusal import Json, malformed, unsupported, wrong_input

DISTANCES: Final = {
    "Cosine": edge.Distance.Cosine,
    "Dot": edge.Distance.Dot,
    "Euclid": edge.Distance.Euclid,
    "Manhattan": edge.Distance.Manhattan,
}
DATATYPES: Final = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
_MAX_SIZE: Final = 65536
_HNSW: Final = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
_OPTIMIZER: Final = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
_WAL: Final = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}


def config_from_request(body: Json) -> Json:
    """Answer the configuration that a request to make a collection leads to."""
    if not isinstance(body, dict):
        raise malformed("expected struct CreateCollection")
    vectors = body.get("vectors") or {}
    dense = {"": vectors} if "size" in vectors else vectors
    for parameters in dense.values():
        _check_vector(parameters)
    params: dict[str, Json] = {
        "vectors": _without_none(vectors)
        if "size" in vectors
        else {name: _without_none(parameters) for name, parameters in vectors.items()},
        "shard_number": body.get("shard_number") or 1,
        "replication_factor": body.get("replication_factor") or 1,
        "write_consistency_factor": body.get("write_consistency_factor") or 1,
        "on_disk_payload": True if body.get("on_disk_payload") is None else body["on_disk_payload"],
    }
    if body.get("sparse_vectors"):
        params["sparse_vectors"] = {
            name: _without_none(parameters or {}) for name, parameters in body["sparse_vectors"].items()
        }
    config: dict[str, Json] = {
        "params": params,
        "hnsw_config": _HNSW | _without_none(body.get("hnsw_config") or {}),
        "optimizer_config": _OPTIMIZER | _without_none(body.get("optimizers_config") or {}),
        "wal_config": _WAL | _without_none(body.get("wal_config") or {}),
        "quantization_config": body.get("quantization_config"),
        "uuid": None,
    }
    for extra in ("strict_mode_config", "metadata"):
        if body.get(extra):
            config[extra] = body[extra]
    return config


def updated_config(config: Json, body: Json) -> Json:
    """Answer the configuration after a request to change a collection."""
    params = config["params"] | _without_none(body.get("params") or {})
    return config | {
        "params": params,
        "hnsw_config": config["hnsw_config"] | _without_none(body.get("hnsw_config") or {}),
        "optimizer_config": config["optimizer_config"] | _without_none(body.get("optimizers_config") or {}),
        "quantization_config": body.get("quantization_config") or config["quantization_config"],
    }


def dense_vectors(config: Json) -> dict[str, Json]:
    """Answer each dense vector's parameters by name; the unnamed one is called by the empty name."""
    vectors: dict[str, Json] = config["params"].get("vectors") or {}
    return {"": vectors} if "size" in vectors else vectors


def sparse_vectors(config: Json) -> dict[str, Json]:
    """Answer each sparse vector's parameters by name."""
    return config["params"].get("sparse_vectors") or {}


def edge_config(config: Json) -> edge.EdgeConfig:
    """Answer the configuration as the engine wants it, for a shard that is made new."""
    return edge.EdgeConfig(
        vectors={name: _dense(parameters) for name, parameters in dense_vectors(config).items()},
        sparse_vectors={name: _sparse(parameters) for name, parameters in sparse_vectors(config).items()},
        on_disk_payload=config["params"].get("on_disk_payload"),
        # No graph: building one would hold the interpreter for minutes, and search is exact without it.
        hnsw_config=_hnsw(config["hnsw_config"] | {"m": 0}),
        quantization_config=_quantization(config.get("quantization_config")),
        optimizers=edge.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=config["optimizer_config"].get("indexing_threshold")
        ),
    )


def _check_vector(parameters: Json) -> None:
    known = isinstance(parameters, dict) and parameters.get("distance") in DISTANCES
    if not known or type(parameters.get("size")) is not int or not 1 <= parameters["size"] <= _MAX_SIZE:
        raise malformed("data did not match any variant of untagged enum VectorsConfig")


def _without_none(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _dense(parameters: Json) -> edge.EdgeVectorParams:
    if parameters.get("datatype", "float32") not in DATATYPES:
        raise wrong_input(f"unknown datatype {parameters['datatype']}")
    hnsw = parameters.get("hnsw_config")
    return edge.EdgeVectorParams(
        size=parameters["size"],
        distance=DISTANCES[parameters["distance"]],
        on_disk=parameters.get("on_disk"),
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
        if parameters.get("multivector_config")
        else None,
        datatype=DATATYPES[parameters["datatype"]] if "datatype" in parameters else None,
        quantization_config=_quantization(parameters.get("quantization_config")),
        hnsw_config=_hnsw(_HNSW | hnsw | {"m": 0}) if hnsw else None,
    )


def _sparse(parameters: Json) -> edge.EdgeSparseVectorParams:
    index = parameters.get("index") or {}
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.get("full_scan_threshold"),
        on_disk=index.get("on_disk"),
        modifier=edge.Modifier.Idf if parameters.get("modifier") == "idf" else None,
        datatype=DATATYPES[index["datatype"]] if index.get("datatype") else None,
    )


def _hnsw(settings: Json) -> edge.HnswIndexConfig:
    known = (*_HNSW, "payload_m", "inline_storage")
    return edge.HnswIndexConfig(**{key: settings[key] for key in known if key in settings})


def _quantization(settings: Json) -> Json:
    if not settings:
        return None
    ((kind, options),) = settings.items()
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(
            type=edge.ScalarType.Int8, quantile=options.get("quantile"), always_ram=options.get("always_ram")
        )
    if kind == "product":
        compression = getattr(edge.CompressionRatio, options.get("compression", "x4").upper())
        return edge.ProductQuantizationConfig(compression=compression, always_ram=options.get("always_ram"))
    if kind == "binary":
        return edge.BinaryQuantizationConfig(always_ram=options.get("always_ram"))
    raise unsupported(f"quantization `{kind}`")
