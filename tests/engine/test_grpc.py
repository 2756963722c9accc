from collections.abc import Iterator

import grpc
import pytest
from qdrant_client import QdrantClient, models

from tests.support.engines import Engine

UUID = "0194f3a0-7c1e-7d4e-9c63-2a2b0d1f4e55"
PAYLOAD = {"n": 700, "text": "x", "nested": {"list": [1, None, 2.5, True]}}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[QdrantClient]:
    """Answer the official client, speaking gRPC."""
    connected = QdrantClient(
        host="127.0.0.1",
        port=engine.http_port,
        grpc_port=engine.grpc_port,
        prefer_grpc=True,
        check_compatibility=False,
    )
    yield connected
    connected.close()


@pytest.fixture
def mixed(client: QdrantClient, collection: str) -> str:
    """Answer a collection of all kinds of vectors on two shards, with 20 points and one more."""
    client.create_collection(
        collection,
        vectors_config={
            "dense": models.VectorParams(size=2, distance=models.Distance.EUCLID),
            "multi": models.VectorParams(
                size=2,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
        shard_number=2,
    )
    points = [
        models.PointStruct(
            id=number,
            vector={
                "dense": [float(number), 1.0],
                "multi": [[1.0, 0.5], [0.25, float(number)]],
                "words": models.SparseVector(indices=[1, 2 + number], values=[1.0, 0.5]),
            },
            payload={"n": number},
        )
        for number in range(20)
    ]
    points.append(models.PointStruct(id=UUID, vector={"dense": [100.0, 1.0]}, payload=PAYLOAD))
    client.upsert(collection, points, wait=True)
    return collection


def test_points_come_back_as_they_went_in(client: QdrantClient, mixed: str) -> None:
    """Vectors of every kind and payloads of every type survive both conversions."""
    (number, named) = client.retrieve(mixed, [3, UUID], with_vectors=True)
    assert number.vector == {
        "dense": [3.0, 1.0],
        "multi": [[1.0, 0.5], [0.25, 3.0]],
        "words": models.SparseVector(indices=[1, 5], values=[1.0, 0.5]),
    }
    assert number.payload == {"n": 3}
    assert named.payload == PAYLOAD


def test_grpc_and_rest_see_the_same(engine: Engine, client: QdrantClient, mixed: str) -> None:
    """What was written over gRPC is read over REST."""
    assert set(engine.points(mixed)) == {*range(20), UUID}
    assert client.count(mixed, exact=True).count == 21


def test_scroll_pages_over_shards_in_order(client: QdrantClient, mixed: str) -> None:
    """Pages follow each other by id, over both shards, until there is no next one."""
    seen = []
    offset: models.ExtendedPointId | None = None
    while True:
        page, offset = client.scroll(mixed, limit=6, offset=offset)
        seen += [record.id for record in page]
        if offset is None:
            break
    assert seen == [*range(20), UUID]


@pytest.mark.parametrize("indexed", [False, True])
def test_filters_count_what_matches(client: QdrantClient, mixed: str, indexed: bool) -> None:  # noqa: FBT001
    """Conditions mean the same with and without an index."""
    if indexed:
        client.create_payload_index(mixed, "n", models.PayloadSchemaType.INTEGER, wait=True)
    matching = models.Filter(
        must=[models.FieldCondition(key="n", range=models.Range(gte=5, lt=10))],
        must_not=[
            models.HasIdCondition(has_id=[6]),
            models.FieldCondition(key="n", match=models.MatchValue(value=8)),
        ],
    )
    assert client.count(mixed, count_filter=matching, exact=True).count == 3


def test_nearest_points_come_first(client: QdrantClient, mixed: str) -> None:
    """Euclidean distance sorts upwards over the shards; a point given by id is not its own neighbour."""
    found = client.query_points(mixed, query=[3.1, 1.0], using="dense", limit=3, with_payload=True).points
    assert [point.id for point in found] == [3, 4, 2]
    assert [point.payload for point in found] == [{"n": 3}, {"n": 4}, {"n": 2}]
    by_id = client.query_points(mixed, query=3, using="dense", limit=2).points
    assert {point.id for point in by_id} == {2, 4}


def test_sparse_and_multi_vectors_are_searched(client: QdrantClient, mixed: str) -> None:
    """The other kinds of vectors answer to their names."""
    sparse = models.SparseVector(indices=[9], values=[1.0])
    assert [point.id for point in client.query_points(mixed, query=sparse, using="words").points] == [7]
    best = client.query_points(mixed, query=[[0.0, 1.0]], using="multi", limit=1).points
    assert [point.id for point in best] == [19]


def test_fusion_joins_what_is_best_in_both(client: QdrantClient, mixed: str) -> None:
    """Reciprocal rank fusion puts the point first that leads both lists."""
    found = client.query_points(
        mixed,
        prefetch=[
            models.Prefetch(query=[7.0, 1.0], using="dense", limit=5),
            models.Prefetch(query=models.SparseVector(indices=[9], values=[1.0]), using="words", limit=5),
        ],
        query=models.FusionQuery(fusion=models.Fusion.RRF),
        limit=3,
    ).points
    assert found[0].id == 7
    assert found[0].score > found[1].score


def test_writes_of_every_kind_are_applied(client: QdrantClient, mixed: str) -> None:
    """Payloads are set and deleted, points deleted by filter, and a batch keeps its order."""
    client.set_payload(mixed, {"z": 1}, points=[1, 2], wait=True)
    client.delete_payload(mixed, ["n"], points=[2], wait=True)
    assert [record.payload for record in client.retrieve(mixed, [1, 2])] == [{"n": 1, "z": 1}, {"z": 1}]
    done = client.batch_update_points(
        mixed,
        [
            models.UpsertOperation(
                upsert=models.PointsList(points=[models.PointStruct(id=50, vector={"dense": [1.0, 1.0]})])
            ),
            models.DeleteOperation(delete=models.PointIdsList(points=[50, 1])),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"only": True}, points=[2])),
        ],
        wait=True,
    )
    assert [part.status for part in done] == [models.UpdateStatus.COMPLETED] * 3
    below = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=5))])
    client.delete(mixed, models.FilterSelector(filter=below), wait=True)
    assert {record.id for record in client.scroll(mixed, limit=100)[0]} == {2, *range(5, 20), UUID}
    assert client.retrieve(mixed, [2])[0].payload == {"only": True}


def test_collections_and_aliases_are_managed(client: QdrantClient, mixed: str) -> None:
    """Collections are listed and described, and an alias stands for its collection."""
    assert client.collection_exists(mixed)
    assert not client.collection_exists("nope")
    assert mixed in {part.name for part in client.get_collections().collections}
    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=mixed, alias_name=f"{mixed}-alias")
    )
    client.update_collection_aliases([create])
    assert client.count(f"{mixed}-alias").count == 21
    info = client.get_collection(mixed)
    assert info.points_count == 21
    assert info.config.params.shard_number == 2
    assert client.delete_collection(mixed)
    assert not client.collection_exists(mixed)


def test_refusals_have_qdrants_codes(client: QdrantClient, mixed: str) -> None:
    """What is missing is not found, what is wrong is an invalid argument, each with Qdrant's sentence."""
    with pytest.raises(grpc.RpcError) as missing:
        client.count("nope")
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert "Collection `nope` doesn't exist!" in missing.value.details()
    with pytest.raises(grpc.RpcError) as wrong:
        client.upsert(mixed, [models.PointStruct(id=1, vector={"dense": [1.0]})])
    assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_unwaited_write_is_acknowledged(client: QdrantClient, mixed: str) -> None:
    """Without `wait` the status says acknowledged, with it completed."""
    point = models.PointStruct(id=1, vector={"dense": [1.0, 1.0]})
    assert client.upsert(mixed, [point], wait=False).status == models.UpdateStatus.ACKNOWLEDGED
    assert client.upsert(mixed, [point], wait=True).status == models.UpdateStatus.COMPLETED
