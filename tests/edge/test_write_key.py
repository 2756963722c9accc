"""Who is turned away before a write takes anything, and when that is left to Qdrant."""

import pytest

from runtime.edge.write_key import WriteKey


@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ([("api-key", "the-key")], False),
        ([("Api-Key", " the-key ")], False),
        ([("api-key", b"the-key")], False),
        ([("api-key", "wrong"), ("api-key", "the-key")], False),
        ([("authorization", "Bearer the-key")], False),
        ([("Authorization", "bearer  the-key")], False),
        ([], True),
        ([("api-key", "")], True),
        ([("api-key", "the-ke")], True),
        ([("api-key", "the-keyx")], True),
        ([("api-key", "THE-KEY")], True),
        ([("authorization", "the-key")], True),
        ([("authorization", "Basic the-key")], True),
        ([("authorization", "Bearer")], True),
        ([("x-api-key", "the-key")], True),
        ([("api-key", "schl\udcfcssel")], True),
    ],
)
def test_the_key_is_found_where_qdrant_looks_for_it(headers: list[tuple[str, str | bytes]], missing: bool) -> None:  # noqa: FBT001
    """As api-key or as bearer token, in any of several headers, and nothing that only looks like it."""
    assert WriteKey("the-key").is_missing(headers) is missing


@pytest.mark.parametrize("name", ["QDRANT__SERVICE__ALT_API_KEY", "qdrant__service__jwt_rbac"])
def test_where_qdrant_has_other_keys_for_writing_it_decides(name: str) -> None:
    """A second key, or a JWT, is none of this module's business: everything may go on. So it is without any key."""
    assert not WriteKey("the-key", {name: "true"}).is_missing([("api-key", "another")])
    assert WriteKey("the-key", {"QDRANT__SERVICE__ENABLE_CORS": "true"}).is_missing([("api-key", "another")])
    assert not WriteKey(None).is_missing([])
