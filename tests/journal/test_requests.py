"""What is sent to do recorded writes again."""

import json

import pytest

from runtime.edge.answers import Answer, rest_answer, rest_refusal, rpc_answer, rpc_refusal
from runtime.edge.effects import Effect, Outcome, Write
from runtime.journal.order import Entry, stretches
from runtime.journal.requests import calls
from runtime.repository.journal_object import JournalPosition, Record


def entry(number: int, method: str = "PUT", path: str = "/collections/c/points", **fields: object) -> Entry:
    """Return an entry."""
    given = {"collection": "c", "effect": "points", "turn": "shared", "transport": "rest", "applied": True, **fields}
    return Entry(
        JournalPosition(1, 0),
        number,
        Record(method=method, path=path, ids=(number,), at=0, body=b"", **given),  # type: ignore[arg-type]
    )


def test_plain_writes_of_a_collection_are_joined_without_being_read() -> None:
    """Each becomes an operation of one batch, in order, its body as it was sent."""
    one, two, three = (
        entry(0),
        entry(1, "POST", "/collections/c/points/delete?wait=false"),
        entry(2, "POST", "//collections//c/points/payload"),
    )
    (call,) = calls([(one, b'{"points":[1]}'), (two, b'{"points":[2]}'), (three, b'{"payload":{}}')])

    assert (call.method, call.path) == ("POST", "/collections/c/points/batch?wait=true")
    assert json.loads(call.body) == {
        "operations": [{"upsert": {"points": [1]}}, {"delete": {"points": [2]}}, {"set_payload": {"payload": {}}}]
    }
    assert call.entries == (one, two, three)


@pytest.mark.parametrize(
    "apart",
    [
        entry(1, applied=False),
        entry(1, turn="collection"),
        entry(1, "POST", "/collections/c/points/batch", turn="collection", effect="batch"),
        entry(1, "PUT", "/collections/c/index", turn="collection", effect="schema"),
        entry(1, "", "/qdrant.Points/Upsert", transport="rpc"),
    ],
)
def test_what_has_to_go_by_itself_is_not_joined(apart: Entry) -> None:
    """Schema, batches, calls by gRPC and what may be refused again go alone, in their place."""
    found = list(calls([(entry(0), b"{}"), (apart, b"{}"), (entry(2), b"{}")]))

    assert [[each.index for each in call.entries] for call in found] == [[0], [1], [2]]


def test_a_write_is_waited_for_whatever_its_sender_said() -> None:
    """`wait` is set and a time-out dropped, other parameters stay; a collection's creation is sent as it was."""
    (points,) = calls([(entry(0, path="/collections/c/points?wait=false&ordering=strong&timeout=1"), b"{}")])
    (made,) = calls([(entry(0, path="/collections/c?timeout=5", turn="collection", effect="replace"), b"{}")])
    (by_rpc,) = calls([(entry(0, "", "/qdrant.Points/Upsert", transport="rpc"), b"\x0a\x01c")])

    assert points.path == "/collections/c/points?ordering=strong&wait=true"
    assert made.path == "/collections/c?timeout=5"
    assert by_rpc.body == b"\x0a\x01c\x10\x01"


def test_collections_go_side_by_side_between_what_goes_alone() -> None:
    """A change of aliases has everything before it done, and everything after it not yet."""
    records = [entry(0), entry(1, collection="d"), entry(2, collection=None, turn="everything"), entry(3)]

    found = [[[each.index for each in some] for some in stretch.values()] for stretch in stretches(records)]

    assert found == [[[0], [1]], [[2]], [[3]]]


def test_numbers_are_read_from_answers() -> None:
    """By REST and by gRPC, of one operation and of a batch; what was only accepted is told from what is applied."""
    single = b'{"result":{"operation_id":17,"status":"completed"},"status":"ok","time":0.1}'
    batch = (
        b'{"result":[{"operation_id":3,"status":"completed"},{"operation_id":4,"status":"acknowledged"}],"status":"ok"}'
    )

    assert rest_answer(single) == Answer((17,), applied=True)
    assert rest_answer(batch) == Answer((3, 4), applied=False)
    assert rest_answer(b'{"result":true,"status":"ok","time":0.1}') == Answer((), applied=True)
    assert rpc_answer(b"\x0a\x04\x08\x11\x10\x02\x11" + bytes(8)) == Answer((17,), applied=True)
    assert rpc_answer(b"\x0a\x04\x08\x03\x10\x02\x0a\x04\x08\x04\x10\x01") == Answer((3, 4), applied=False)


def test_what_makes_or_deletes_a_collection_is_done_beside_no_other() -> None:
    """Its aliases go with it, and the next collection may be called as one of them."""
    records = [
        entry(0, collection="c"),
        entry(1, collection="d"),
        entry(2, "DELETE", "/collections/c", turn="collection", effect="replace"),
        entry(3, "PUT", "/collections/alias", collection="alias", turn="collection", effect="replace"),
        entry(4, "PUT", "/collections/alias/points", collection="alias"),
    ]
    found = [[[each.index for each in some] for some in stretch.values()] for stretch in stretches(records)]

    assert found == [[[0], [1]], [[2]], [[3]], [[4]]]


@pytest.mark.parametrize("inside", [b"", b'"]]]]]]]]]]]]]]]]]]]]]]]]]", '])
def test_what_is_nested_as_deep_as_qdrant_reads_is_not_joined(inside: bytes) -> None:
    """Qdrant reads 127 levels, and a batch would add three to them; brackets in a text are none."""
    deep = b'{"a":' * 110 + b"[" + inside + b"1]" + b"}" * 110
    flat = b'{"points":[' + b",".join(b'{"id":1,"vector":[1],"payload":{"text":"[[[[[[{"}}' for _ in range(100)) + b"]}"
    found = list(calls([(entry(0), flat), (entry(1), deep), (entry(2), flat), (entry(3), flat)]))

    assert [[each.index for each in call.entries] for call in found] == [[0], [1], [2, 3]]


@pytest.mark.parametrize(("effect", "outcome"), [(Effect.POINTS, Outcome.UNTOUCHED), (Effect.BATCH, Outcome.LIMITED)])
@pytest.mark.parametrize("limit", ["points count limit of 10", "vector storage size limit of 0.5MB"])
def test_a_full_collection_is_no_refusal_that_would_be_repeated(effect: Effect, outcome: Outcome, limit: str) -> None:
    """It counts now and then: done again, the write would be taken. What a client wrote does not look like it."""
    words, write = f"Bad request: Max {limit} reached!", Write(effect, "c")
    full = json.dumps({"status": {"error": words}, "time": 0}, separators=(",", ":")).encode()
    quoted = json.dumps({"status": {"error": f'Wrong input: "error":"{words}"'}}, separators=(",", ":")).encode()

    assert (rest_refusal(write, full), rpc_refusal(write, words)) == (outcome, outcome)
    assert (rest_refusal(write, quoted), rpc_refusal(write, f"Wrong input: {words}")) == (Outcome.REFUSED,) * 2
