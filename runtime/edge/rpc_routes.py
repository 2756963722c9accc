"""Every gRPC method of Qdrant 1.18 and 1.19 that clients can call: what it changes, and in which collection.

Owns the gRPC half of the table. A method that is not here is a write of unknown effect. The collection's name
is field 1 of every request that names one, and is read from the bytes without the message's definition, so
that the container needs neither Qdrant's protocol files nor a protobuf library.
"""

from collections.abc import Iterator
from typing import Final

from runtime.edge.effects import Effect, Write

_READS: Final = """
/qdrant.Qdrant/HealthCheck
/grpc.health.v1.Health/Check
/grpc.reflection.v1.ServerReflection/ServerReflectionInfo
/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo
/qdrant.Collections/CollectionClusterInfo
/qdrant.Collections/CollectionExists
/qdrant.Collections/Get
/qdrant.Collections/List
/qdrant.Collections/ListAliases
/qdrant.Collections/ListCollectionAliases
/qdrant.Collections/ListShardKeys
/qdrant.Points/Count
/qdrant.Points/Discover
/qdrant.Points/DiscoverBatch
/qdrant.Points/Facet
/qdrant.Points/Get
/qdrant.Points/Query
/qdrant.Points/QueryBatch
/qdrant.Points/QueryGroups
/qdrant.Points/Recommend
/qdrant.Points/RecommendBatch
/qdrant.Points/RecommendGroups
/qdrant.Points/Scroll
/qdrant.Points/Search
/qdrant.Points/SearchBatch
/qdrant.Points/SearchGroups
/qdrant.Points/SearchMatrixOffsets
/qdrant.Points/SearchMatrixPairs
/qdrant.Snapshots/List
/qdrant.Snapshots/ListFull
/qdrant.StorageRead/FileExists
/qdrant.StorageRead/FileLength
/qdrant.StorageRead/ListFiles
/qdrant.StorageRead/ReadBatch
/qdrant.StorageRead/ReadBytes
/qdrant.StorageRead/ReadBytesStream
/qdrant.StorageRead/ReadMulti
/qdrant.StorageRead/ReadWhole
"""

METHODS: Final[dict[str, Effect | None]] = {
    **dict.fromkeys(_READS.split()),
    "/qdrant.Points/ClearPayload": Effect.POINTS,
    "/qdrant.Points/CreateFieldIndex": Effect.SCHEMA,
    "/qdrant.Points/Delete": Effect.POINTS,
    "/qdrant.Points/DeleteFieldIndex": Effect.SCHEMA,
    "/qdrant.Points/DeletePayload": Effect.POINTS,
    "/qdrant.Points/DeleteVectors": Effect.POINTS,
    "/qdrant.Points/OverwritePayload": Effect.POINTS,
    "/qdrant.Points/SetPayload": Effect.POINTS,
    "/qdrant.Points/UpdateBatch": Effect.BATCH,
    "/qdrant.Points/UpdateVectors": Effect.POINTS,
    "/qdrant.Points/Upsert": Effect.POINTS,
    "/qdrant.Collections/Update": Effect.SCHEMA,
    "/qdrant.Collections/Create": Effect.REPLACE,
    "/qdrant.Collections/Delete": Effect.REPLACE,
    # As in REST: these change which shards or which files of a segment there are.
    "/qdrant.Points/CreateVectorName": Effect.REPLACE,
    "/qdrant.Points/DeleteVectorName": Effect.REPLACE,
    "/qdrant.Collections/CreateShardKey": Effect.REPLACE,
    "/qdrant.Collections/DeleteShardKey": Effect.REPLACE,
    "/qdrant.Collections/UpdateCollectionClusterSetup": Effect.REPLACE,
    "/qdrant.Collections/UpdateAliases": Effect.CATALOG,
    "/qdrant.Snapshots/Create": Effect.NOTHING,
    "/qdrant.Snapshots/CreateFull": Effect.NOTHING,
    "/qdrant.Snapshots/Delete": Effect.NOTHING,
    "/qdrant.Snapshots/DeleteFull": Effect.NOTHING,
}

# A batch of more points than this counts as a write to everything, instead of stalling every other request.
MAX_FIELDS: Final = 8192
_WITHOUT_NAME: Final = frozenset({Effect.CATALOG, Effect.NOTHING})
_NAME_TAG: Final = 0x0A  # field 1, length-delimited


def classify_rpc(full_method: str, request: bytes) -> Write | None:
    """Return what a call may change, None for a read. The collection is None where it cannot be read."""
    effect = METHODS.get(full_method, Effect.UNKNOWN)
    if effect is None:
        return None
    if effect is Effect.UNKNOWN or effect in _WITHOUT_NAME:
        return Write(effect)
    return Write(effect, collection_name(request))


def collection_name(message: bytes) -> str | None:
    """Return field 1 of a protobuf message as text; None when it is absent or this is no such message.

    A field that is sent twice counts as its last value, so every top-level field is stepped over.
    """
    name: bytes | None = None
    try:
        for seen, (tag, start, end) in enumerate(_spans(message)):
            if seen == MAX_FIELDS:
                return None
            if tag == _NAME_TAG:
                name = message[start:end]
        return name.decode() if name else None
    except (IndexError, UnicodeDecodeError):
        return None


def wire_values(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield a message's top-level fields as (number, value): an int of a varint, else bytes. Raises IndexError."""
    for tag, start, end in _spans(message):
        yield tag >> 3, _varint(message, start)[0] if tag & 7 == 0 else message[start:end]


def _spans(message: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield each field's tag and where its value starts and ends. Raises IndexError when this is no message."""
    position, size = 0, len(message)
    while position < size:
        tag, start = _varint(message, position)
        match tag & 7:
            case 2:
                length, start = _varint(message, start)
                position = start + length
            case 0:
                _, position = _varint(message, start)
            case 1:
                position = start + 8
            case 5:
                position = start + 4
            case _:
                raise IndexError("no such kind of field")
        if position > size:
            raise IndexError("a field goes on after the message's end")
        yield tag, start, position


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise IndexError("a varint has at most ten bytes")
