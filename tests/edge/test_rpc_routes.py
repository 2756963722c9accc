"""The gRPC table against the services that the engine's protocol files and its client describe."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import grpc as stubs
from qdrant_client.grpc import collections_service_pb2, points_service_pb2, qdrant_pb2, snapshots_service_pb2

from runtime.edge.effects import Effect, Write
from runtime.edge.rpc_routes import MAX_FIELDS, METHODS, classify_rpc, collection_name

FACTS = Path(__file__).with_name("facts")
SERVICES = [
    service
    for module in (collections_service_pb2, points_service_pb2, qdrant_pb2, snapshots_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
NAMELESS = {Effect.CATALOG, Effect.NOTHING}


@pytest.mark.parametrize("version", ["1.18.3", "1.19.0"])
def test_every_public_method_of_the_engine_is_in_the_table(version: str) -> None:
    """No method of a service that the engine offers to clients is missing."""
    methods = (FACTS / f"rpc-{version}.txt").read_text().split()

    assert [method for method in methods if method not in METHODS] == []


def test_every_method_that_the_client_knows_is_in_the_table() -> None:
    """The official client's stubs call nothing that is unknown here."""
    called = [f"/{s.full_name}/{m.name}" for s in SERVICES for m in s.methods]

    assert len(called) > 45
    assert [method for method in called if method not in METHODS] == []


def test_the_name_is_found_in_every_write_that_has_one() -> None:
    """Field 1 of each such request, as the client serialises it, is the collection's name."""
    for service in SERVICES:
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            effect = METHODS[path]
            if effect is None or effect in NAMELESS:
                continue
            message = getattr(stubs, method.input_type.name)
            request = message(collection_name="été/1").SerializeToString()
            assert classify_rpc(path, request) == Write(effect, "été/1"), path


def test_a_read_is_a_read_whatever_it_carries() -> None:
    """Reads are told by the method alone."""
    assert classify_rpc("/qdrant.Points/Query", b"\xff\xff") is None


@pytest.mark.parametrize(
    "method",
    ["/qdrant.Points/Invented", "/qdrant.points/Query", "/qdrant.Points/Query/", "//qdrant.Points/Query", "", "/"],
)
def test_an_unknown_method_is_a_write_to_anything(method: str) -> None:
    """A method is known by its exact name only."""
    assert classify_rpc(method, b"") == Write(Effect.UNKNOWN)


def upsert(name: str, points: int = 3) -> bytes:
    """Return an upsert as the client sends it."""
    made = [
        stubs.PointStruct(id=stubs.PointId(num=i), vectors=stubs.Vectors(vector=stubs.Vector(data=[0.5] * 4)))
        for i in range(points)
    ]
    serialised: bytes = stubs.UpsertPoints(collection_name=name, wait=True, points=made).SerializeToString()
    return serialised


@given(name=st.text(min_size=1, max_size=300), points=st.integers(0, 5))
def test_any_name_comes_out_as_it_went_in(name: str, points: int) -> None:
    """The reader agrees with protobuf itself, whatever the name and what follows it."""
    assert collection_name(upsert(name.replace("\ud800", "?"), points)) == name


@given(message=st.binary(max_size=200))
def test_any_bytes_are_read_without_failing(message: bytes) -> None:
    """Garbage yields a name or None, never an exception: the engine refuses it in its own words."""
    assert collection_name(message) is None or isinstance(collection_name(message), str)


def test_a_name_that_is_sent_twice_counts_as_the_last_one() -> None:
    """Protobuf takes the last value of a field, so a decoy in front does not hide the collection."""
    assert collection_name(upsert("decoy") + upsert("real", 0)) == "real"


def test_a_message_of_too_many_fields_is_a_write_to_an_unnamed_collection() -> None:
    """Reading is bounded: beyond the bound the name is unknown, not guessed."""
    assert collection_name(b"\x0a\x01c" + b"\x10\x01" * (MAX_FIELDS - 2)) == "c"
    assert collection_name(b"\x0a\x01c" + b"\x10\x01" * MAX_FIELDS) is None


@pytest.mark.parametrize("cut", [1, 2, 5, 12])
def test_a_cut_message_has_no_name(cut: int) -> None:
    """A length that points beyond the end is not trusted."""
    assert collection_name(upsert("collection")[:-cut]) is None
