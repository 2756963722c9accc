"""The journal's objects: what is written is what is read, and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque, Record

AT = JournalPosition(3, 14)
RECORDS = st.builds(
    Record,
    collection=st.none() | st.text(min_size=1),
    effect=st.sampled_from(["points", "batch", "schema", "replace", "catalog"]),
    turn=st.sampled_from(["shared", "collection", "everything"]),
    transport=st.sampled_from(["rest", "rpc"]),
    method=st.sampled_from(["PUT", "POST", ""]),
    path=st.text().map("/{}".format),
    ids=st.lists(st.integers(0, 2**63), max_size=3).map(tuple),
    applied=st.booleans(),
    at=st.integers(0, 2**44),
    body=st.binary(max_size=200),
)


def with_records(*records: Record) -> JournalObject:
    """Return an object of these."""
    return JournalObject(AT, "lineage", "records", "writer", records)


@given(st.lists(RECORDS, max_size=5))
def test_what_is_written_is_read(records: list[Record]) -> None:
    """Any records come back as they were."""
    written = with_records(*records)

    assert JournalObject.decode(written.encode(), lineage="lineage", position=AT) == written


@pytest.mark.parametrize(
    "special",
    [
        JournalObject(AT, "lineage", "seal", "writer"),
        JournalObject(AT, "lineage", "opaque", "writer", opaque=Opaque("PUT /x", 7, exact=True)),
    ],
)
def test_a_seal_and_an_opaque_change_are_read_as_such(special: JournalObject) -> None:
    """The objects without records come back as they were."""
    assert JournalObject.decode(special.encode(), lineage="lineage", position=AT) == special


@given(st.data())
def test_no_flipped_bit_and_no_cut_is_overlooked(data: st.DataObject) -> None:
    """Whatever bit of an object is flipped, and wherever it is cut, it is damaged."""
    content = with_records(data.draw(RECORDS), data.draw(RECORDS)).encode()
    at = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))

    for wrong in (bytes(flipped), content[:at], content + b"\0"):
        with pytest.raises(IntegrityError):
            JournalObject.decode(wrong, lineage="lineage", position=AT)


@pytest.mark.parametrize(("lineage", "position"), [("another", AT), ("lineage", JournalPosition(3, 15))])
def test_an_object_of_another_place_is_refused(lineage: str, position: JournalPosition) -> None:
    """Copied to another number or from another lineage it is never done again."""
    with pytest.raises(IntegrityError, match="another"):
        JournalObject.decode(with_records().encode(), lineage=lineage, position=position)
