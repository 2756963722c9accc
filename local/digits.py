"""Real data for the demo: scikit-learn's 1,797 scanned digits, and what a database that holds them must answer.

Owns the loading, the searches and the comparison with everything that was acknowledged.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import QdrantClient, models
from sklearn.datasets import load_digits

# The whole image as one vector: https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html
DIGITS = "digits"
# The same images as rows (multi-vector) and as inked pixels (sparse), in two shards.
STROKES = "strokes"
ALIAS = "newest-digits"

_BATCH = 128
_STROKES = 360


@dataclass
class Acknowledged:
    """Everything the database said yes to, by collection and id."""

    points: dict[str, dict[int, models.PointStruct]] = field(default_factory=lambda: {DIGITS: {}, STROKES: {}})
    indexes: dict[str, set[str]] = field(default_factory=lambda: {DIGITS: {"label"}, STROKES: {"label", "ink"}})
    aliases: dict[str, str] = field(default_factory=lambda: {ALIAS: DIGITS})

    @property
    def count(self) -> int:
        """How many points."""
        return sum(len(points) for points in self.points.values())


def load(client: QdrantClient, progress: Callable[[int, int], None]) -> Acknowledged:
    """Create both collections, their payload indexes and the alias; write every digit."""
    images = load_digits()
    acknowledged = Acknowledged()
    client.create_collection(DIGITS, vectors_config=models.VectorParams(size=64, distance=models.Distance.EUCLID))
    client.create_collection(
        STROKES,
        vectors_config={
            "rows": models.VectorParams(
                size=8,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            )
        },
        sparse_vectors_config={"pixels": models.SparseVectorParams()},
        shard_number=2,
    )
    points = {
        DIGITS: [_digit(number, images) for number in range(len(images.data))],
        STROKES: [_strokes(number, images) for number in range(_STROKES)],
    }
    total = sum(map(len, points.values()))
    for collection, wanted in points.items():
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            client.upsert(collection, batch, wait=True)
            acknowledged.points[collection] |= {int(point.id): point for point in batch}
            progress(acknowledged.count, total)
    client.create_payload_index(DIGITS, "label", models.PayloadSchemaType.INTEGER, wait=True)
    client.create_payload_index(STROKES, "label", models.PayloadSchemaType.INTEGER, wait=True)
    client.create_payload_index(STROKES, "ink", models.PayloadSchemaType.FLOAT, wait=True)
    client.update_collection_aliases(
        [models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=DIGITS, alias_name=ALIAS))]
    )
    return acknowledged


def look_up(client: QdrantClient, number: int, acknowledged: Acknowledged) -> list[int]:
    """Return the labels of the five digits that look most like this one, asked by the alias."""
    vector = acknowledged.points[DIGITS][number].vector
    found = client.query_points(ALIAS, query=vector, limit=5, with_payload=True)  # type: ignore[arg-type]
    return [int((point.payload or {})["label"]) for point in found.points]


def differences(client: QdrantClient, acknowledged: Acknowledged, *, besides: str) -> Iterator[str]:
    """Yield everything in which the database is not what was acknowledged: nothing, if it kept its word.

    `besides` names a collection of somebody else's.
    """
    names = {description.name for description in client.get_collections().collections} - {besides}
    if names != acknowledged.points.keys():
        yield f"collections are {sorted(names)}"
    for collection in names & acknowledged.points.keys():
        yield from _point_differences(client, collection, acknowledged.points[collection])
        schema = set(client.get_collection(collection).payload_schema)
        if schema != acknowledged.indexes[collection]:
            yield f"payload indexes of {collection} are {sorted(schema)}"
    aliases = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}
    if aliases != acknowledged.aliases:
        yield f"aliases are {aliases}"


def _point_differences(client: QdrantClient, collection: str, expected: dict[int, models.PointStruct]) -> Iterator[str]:
    found: dict[int, models.Record] = {}
    offset: Any = None
    while True:
        page, offset = client.scroll(collection, limit=500, offset=offset, with_payload=True, with_vectors=True)
        found |= {int(record.id): record for record in page}
        if offset is None:
            break
    if found.keys() != expected.keys():
        yield f"{collection} has {len(found)} points, not {len(expected)}"
    for number in found.keys() & expected.keys():
        if found[number].payload != expected[number].payload:
            yield f"the payload of {collection}/{number} is {found[number].payload}"
        if _plain(found[number].vector) != _plain(expected[number].vector):
            yield f"the vector of {collection}/{number} differs"


def _plain(vector: Any) -> Any:
    """Return a vector of any kind as plain numbers."""
    if isinstance(vector, dict):
        return {name: _plain(part) for name, part in vector.items()}
    if isinstance(vector, models.SparseVector):
        return sorted(zip(vector.indices, vector.values, strict=True))
    return vector


def _digit(number: int, images: Any) -> models.PointStruct:
    return models.PointStruct(
        id=number,
        vector=[float(pixel) for pixel in images.data[number]],
        payload={"label": int(images.target[number]), "source": "digits"},
    )


def _strokes(number: int, images: Any) -> models.PointStruct:
    pixels = images.data[number]
    inked = [index for index, pixel in enumerate(pixels) if pixel]
    return models.PointStruct(
        id=number,
        vector={
            "rows": [[float(pixel) for pixel in row] for row in images.images[number]],
            "pixels": models.SparseVector(indices=inked, values=[float(pixels[index]) for index in inked]),
        },
        payload={"label": int(images.target[number]), "ink": float(pixels.sum())},
    )
