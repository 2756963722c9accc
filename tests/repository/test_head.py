import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.repository.head import Head
from tests.support import manifests

HEAD = manifests.head(
    2, 7, manifest=manifests.manifest_name(1, 7), manifest_sha256="0" * 64, clean=True, holder="writer"
)


def refused(data: bytes) -> str:
    """Return why the bytes are refused as damaged."""
    with pytest.raises(IntegrityError) as caught:
        Head.decode(data)
    return str(caught.value)


def changed(**fields: Any) -> bytes:
    """Return a good head with some fields changed."""
    return json.dumps(json.loads(HEAD.encode()) | fields).encode()


@given(head=manifests.heads())
def test_any_head_reads_back(head: Head) -> None:
    """What is written is read, and writes the same bytes again."""
    assert Head.decode(head.encode()) == head
    assert Head.decode(head.encode()).encode() == head.encode()


@given(head=manifests.heads(), data=st.data())
def test_a_head_with_something_wrong_is_refused_or_still_one(head: Head, data: st.DataObject) -> None:
    """One field changed, renamed, added or left out: an IntegrityError, or a head that is whole in itself."""
    wrong = data.draw(manifests.damaged(head.encode()))
    try:
        read = Head.decode(wrong)
    except IntegrityError:
        return
    assert Head.decode(read.encode()) == read


@given(data=st.binary(max_size=300))
def test_what_is_no_head_is_refused(data: bytes) -> None:
    """Arbitrary bytes are an IntegrityError."""
    refused(data)


def test_a_head_cut_anywhere_is_refused() -> None:
    """Every proper prefix but the last line's end is an IntegrityError that names `repair`."""
    data = HEAD.encode().rstrip()
    for length in range(len(data)):
        assert "repair" in refused(data[:length])


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": 0},
        {"epoch": True},
        {"epoch": 2.0},
        {"epoch": "2"},
        {"epoch": None},
        {"seq": -1},
        {"seq": 6},
        {"seq": 7.5},
        {"clean": "false"},
        {"clean": 0},
        {"clean": None},
        {"holder": None},
        {"lineage": 5},
        {"manifest": None},
        {"manifest_sha256": None},
        {"manifest": 5},
        {"manifest": "manifests/../HEAD"},
        {"manifest": manifests.manifest_name(1, 8)},
        {"manifest": manifests.manifest_name(3, 7)},
        {"requested_by": {}},
        {"requested_by": False},
        {"requested_by": "somebody"},
        {"requested_by": {"instance": "a"}},
        {"requested_by": {"instance": "a", "reason": "because"}},
        {"requested_by": {"instance": None, "reason": "write"}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_head_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    """A field of the wrong type or beyond its limits, or two that disagree, name `repair`."""
    assert Head.decode(changed()) == HEAD
    assert "repair" in refused(changed(**fields))


def test_a_head_of_the_future_is_refused_with_what_to_do() -> None:
    """Another format names the newer image."""
    assert "newer image" in refused(changed(format=2))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1", b"[" * 200_000, b"\xff\xfe"], ids=range(6))
def test_json_of_another_form_is_refused(data: bytes) -> None:
    """Nothing, a list, a number, a nest deeper than the stack: an IntegrityError each."""
    refused(data)
