"""Collections: between protobuf and the JSON of requests and of `config.json`."""

from typing import Any

from local.engine.refusal import Json
from local.engine.rpc.stubs import grpc_messages as messages

_DISTANCES = ("", "Cosine", "Euclid", "Dot", "Manhattan")
_DATATYPES = (None, "float32", "uint8", "float16")
_INDEXES = ("keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid")
_TOKENIZERS = (None, "prefix", "whitespace", "word", "multilingual")


def present(message: Any) -> dict[str, Json]:
    """Answer the scalar fields of a message that are set."""
    return {
        field.name: value
        for field, value in message.ListFields()
        if field.message_type is None and not field.is_repeated
    }


def create_request(message: Any) -> Json:
    """Answer a request to make a collection."""
    body: dict[str, Json] = {
        name: getattr(message, name)
        for name in ("shard_number", "on_disk_payload", "replication_factor", "write_consistency_factor")
        if message.HasField(name)
    }
    for name in ("hnsw_config", "wal_config", "optimizers_config"):
        if message.HasField(name):
            body[name] = present(getattr(message, name))
    if message.HasField("quantization_config"):
        body["quantization_config"] = _quantization(message.quantization_config)
    config = message.vectors_config
    if config.HasField("params"):
        body["vectors"] = _vector(config.params)
    elif config.HasField("params_map"):
        body["vectors"] = {name: _vector(part) for name, part in config.params_map.map.items()}
    if message.HasField("sparse_vectors_config"):
        body["sparse_vectors"] = {name: _sparse(part) for name, part in message.sparse_vectors_config.map.items()}
    return body


def _vector(message: Any) -> Json:
    body: dict[str, Json] = {"size": message.size, "distance": _DISTANCES[message.distance]}
    if message.HasField("on_disk"):
        body["on_disk"] = message.on_disk
    if message.HasField("datatype") and message.datatype:
        body["datatype"] = _DATATYPES[message.datatype]
    if message.HasField("multivector_config"):
        body["multivector_config"] = {"comparator": "max_sim"}
    if message.HasField("hnsw_config"):
        body["hnsw_config"] = present(message.hnsw_config)
    if message.HasField("quantization_config"):
        body["quantization_config"] = _quantization(message.quantization_config)
    return body


def _sparse(message: Any) -> Json:
    body: dict[str, Json] = {}
    if message.HasField("index"):
        body["index"] = present(message.index)
    if message.modifier:
        body["modifier"] = "idf"
    return body


def _quantization(message: Any) -> Json:
    kind = message.WhichOneof("quantization")
    options = present(getattr(message, kind))
    if kind == "scalar":
        options["type"] = "int8"
    if "compression" in options:
        options["compression"] = ("x4", "x8", "x16", "x32", "x64")[options["compression"]]
    return {kind: options}


def index_schema(message: Any) -> Json:
    """Answer the schema of an index request."""
    if message.HasField("field_index_params"):
        kind = message.field_index_params.WhichOneof("index_params")
        options = getattr(message.field_index_params, kind)
        body = {"type": kind.removesuffix("_index_params")} | present(options)
        if "tokenizer" in body:
            body["tokenizer"] = _TOKENIZERS[body["tokenizer"]]
        return body if len(body) > 1 else body["type"]
    return _INDEXES[message.field_type]


def collection_info(info: Json) -> Any:
    """Answer what a collection says of itself."""
    config = info["config"]
    return messages.CollectionInfo(
        status=messages.CollectionStatus.Green,
        optimizer_status=messages.OptimizerStatus(ok=True),
        segments_count=info["segments_count"],
        points_count=info["points_count"],
        indexed_vectors_count=info["indexed_vectors_count"],
        update_queue=messages.UpdateQueueInfo(length=0),
        config=messages.CollectionConfig(
            params=_params(config["params"]),
            hnsw_config=_known(messages.HnswConfigDiff, config["hnsw_config"]),
            optimizer_config=_known(messages.OptimizersConfigDiff, config["optimizer_config"]),
            wal_config=_known(messages.WalConfigDiff, config["wal_config"]),
        ),
        payload_schema={
            name: messages.PayloadSchemaInfo(data_type=_INDEXES.index(schema["data_type"]) + 1, points=schema["points"])
            for name, schema in info["payload_schema"].items()
        },
    )


def _params(params: Json) -> Any:
    vectors = params.get("vectors") or {}
    if "size" in vectors:
        config = messages.VectorsConfig(params=_vector_params(vectors))
    else:
        named = {name: _vector_params(part) for name, part in vectors.items()}
        config = messages.VectorsConfig(params_map=messages.VectorParamsMap(map=named))
    sparse = {name: messages.SparseVectorParams() for name in params.get("sparse_vectors") or {}}
    return messages.CollectionParams(
        shard_number=params["shard_number"],
        on_disk_payload=params["on_disk_payload"],
        replication_factor=params["replication_factor"],
        write_consistency_factor=params["write_consistency_factor"],
        vectors_config=config,
        sparse_vectors_config=messages.SparseVectorConfig(map=sparse) if sparse else None,
    )


def _vector_params(params: Json) -> Any:
    return messages.VectorParams(
        size=params["size"],
        distance=_DISTANCES.index(params["distance"]),
        on_disk=params.get("on_disk"),
        datatype=_DATATYPES.index(params["datatype"]) if "datatype" in params else None,
        multivector_config=messages.MultiVectorConfig() if params.get("multivector_config") else None,
    )


def _known(kind: Any, settings: Json) -> Any:
    fields = {field.name for field in kind.DESCRIPTOR.fields if field.message_type is None}
    return kind(**{key: value for key, value in settings.items() if key in fields and value is not None})
