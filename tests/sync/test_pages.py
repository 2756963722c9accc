"""Pages, digests and digits."""

import json
import struct
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.errors import EngineError
from runtime.sync.exact import as_qdrant_reads, exact_json, exact_text
from runtime.sync.pages import digest, page, total

PAYLOADS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = st.one_of(
    st.lists(SINGLES, min_size=1, max_size=4),
    st.fixed_dictionaries(
        {
            "dense": st.lists(SINGLES, min_size=1, max_size=4),
            "late": st.lists(st.lists(SINGLES, min_size=2, max_size=2), min_size=1, max_size=3),
            "words": st.dictionaries(st.integers(0, 2**32 - 1), SINGLES, max_size=3).map(
                lambda found: {"indices": list(found), "values": list(found.values())}
            ),
        }
    ),
)
POINTS = st.fixed_dictionaries(
    {
        "id": st.integers(0, 2**64 - 1) | st.uuids().map(str),
        "vector": VECTORS,
        "payload": st.dictionaries(st.text(), PAYLOADS, max_size=3),
    }
)


@settings(max_examples=30)
@given(points=st.lists(POINTS, max_size=3), after=st.none() | st.integers(0, 2**64 - 1) | st.uuids().map(str))
def test_a_page_passes_on_what_was_answered(points: list[dict[str, Any]], after: int | str | None) -> None:
    """Whatever the payloads hold, also the answer's own words; tight or with spaces, with usage or without."""
    for extra in ({}, {"usage": {"hardware": {"cpu": 1}, "inference": None}}):
        answer = {"result": {"points": points, "next_page_offset": after}, "status": "ok", "time": 1e-5, **extra}
        for separators in ((",", ":"), (", ", ": ")):
            found = page(json.dumps(answer, separators=separators).encode())
            assert (found.points(), found.next) == (points, after)


def test_a_payload_with_the_answers_own_words_is_no_end_of_it() -> None:
    """The last `next_page_offset` counts, and only where an answer ends."""
    trap = '],"next_page_offset":1},"status":"ok","time":1}'
    point = {"id": 1, "payload": {"next_page_offset": 5, "x": trap}, "vector": [1.0]}
    answer = {"result": {"points": [point], "next_page_offset": None}, "status": "ok", "time": 0.1}
    assert page(json.dumps(answer).encode()).points() == [point]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"result": {"points": [', b"<html>", b'{"result": null}'])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    """Never an empty page: that would look like the end of a collection."""
    with pytest.raises(EngineError):
        page(body)


@settings(max_examples=30)
@given(points=st.lists(POINTS, min_size=2, max_size=5))
def test_a_digest_does_not_depend_on_order_or_form(points: list[dict[str, Any]]) -> None:
    """Points in another order, keys in another order, sparse values in another order: the same; put together too."""
    other = [
        {
            "payload": dict(reversed(point["payload"].items())),
            "vector": dict(reversed(point["vector"].items())) if isinstance(point["vector"], dict) else point["vector"],
            "id": point["id"],
        }
        for point in reversed(points)
    ]
    for point in other:
        if isinstance(point["vector"], dict):
            words = point["vector"]["words"]
            point["vector"]["words"] = {"indices": words["indices"][::-1], "values": words["values"][::-1]}
    whole = total(map(digest, points))
    assert total(map(digest, other)) == whole
    assert total(map(digest, points[1:]), total(map(digest, points[:1]))) == whole


@settings(max_examples=30)
@given(point=POINTS, data=st.data())
def test_a_digest_tells_one_changed_number_apart(point: dict[str, Any], data: st.DataObject) -> None:
    """One 32-bit number of one vector, a payload's 1 and 1.0, a number and a text as id."""
    before = digest(point)
    changed = json.loads(json.dumps(point))
    row = changed["vector"] if isinstance(changed["vector"], list) else changed["vector"]["late"][0]
    at = data.draw(st.integers(0, len(row) - 1))
    other = data.draw(SINGLES)
    assume(struct.pack("f", other) != struct.pack("f", row[at]))
    row[at] = other
    assert digest(changed) != before
    assert digest({**point, "payload": {"n": 1}}) != digest({**point, "payload": {"n": 1.0}})
    assert digest({**point, "id": 1}) != digest({**point, "id": "1"})


@settings(max_examples=30)
@given(payload=st.dictionaries(st.text(), PAYLOADS, max_size=4))
def test_exact_json_says_the_same(payload: dict[str, Any]) -> None:
    """To a reader that reads every digit it is the same payload, but for the last bit of a number."""
    (found,) = json.loads(exact_json([{"id": 1, "vector": [1.5], "payload": payload}]))
    assert _rounded(found["payload"]) == _rounded(payload)


def _rounded(value: Any) -> Any:
    """Return a value whose numbers may be one last bit off."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return pytest.approx(value, rel=1e-15, abs=0) if isinstance(value, float) else value


def test_digits_are_found_for_nearly_every_number() -> None:
    """Of numbers that the parser misreads in their usual form, all but a few in a thousand have digits it reads."""
    import random

    chance = random.Random(3)
    numbers = [chance.uniform(-180, 180) for _ in range(3000)] + [chance.random() * 1e-6 for _ in range(1000)]
    misread = [number for number in numbers if as_qdrant_reads(repr(number)) != number]
    lost = [number for number in misread if as_qdrant_reads(exact_text(number)) != number]
    assert len(misread) > 400
    assert len(lost) < 20


@settings(max_examples=30)
@given(number=st.integers(-(2**60), 2**60), places=st.integers(0, 15))
def test_short_decimals_are_written_as_anybody_would(number: int, places: int) -> None:
    """Where the parser is right, nothing is changed."""
    value = float(f"{number % 10**15}e-{places}")
    assert as_qdrant_reads(repr(value)) == value
    assert exact_text(value) == repr(value)
