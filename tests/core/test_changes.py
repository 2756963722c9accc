import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.changes import Delta, Scope, is_worn, scopes
from runtime.edge.gate import Written
from runtime.repository.manifest import CollectionEntry, FileEntry, Manifest, PackEntry, ShardEntry
from tests.support import manifests

NOTHING, CHANGES, EVERYTHING = Scope.NOTHING, Scope.CHANGES, Scope.EVERYTHING
EMPTY = CollectionEntry(0, {}, {})

PARENT = manifests.manifest(collections={"a": EMPTY, "b": EMPTY, "c": EMPTY}, aliases={"now": "a"})


def delta(*points: str, replaced: tuple[str, ...] = (), catalog: bool = False, everything: bool = False) -> Delta:
    """Return what was written."""
    return Delta(everything, catalog, frozenset(points), frozenset(replaced))


def decided(
    written: Delta, aliases: dict[str, str] | None = None, collections: str = "abc", parent: Manifest | None = PARENT
) -> dict[str, Scope]:
    """Return the scopes that are not `nothing`."""
    found = scopes(parent, written, list(collections), {"now": "a"} if aliases is None else aliases)
    assert set(found) == set(collections)
    return {name: scope for name, scope in found.items() if scope is not NOTHING}


ALL = dict.fromkeys("abc", CHANGES)

TABLE = {
    "nothing was written": (decided(delta()), {}),
    "points": (decided(delta("b")), {"b": CHANGES}),
    "points of two": (decided(delta("b", "c")), {"b": CHANGES, "c": CHANGES}),
    "points of one that is gone": (decided(delta("x")), {}),
    "points through an alias": (decided(delta("now")), {"a": CHANGES}),
    "aliases alone": (decided(delta(catalog=True), {}), {}),
    "points, and aliases": (decided(delta("b", catalog=True)), {"b": CHANGES}),
    "points through an alias that was re-pointed": (decided(delta("now", catalog=True), {"now": "b"}), ALL),
    "points through an alias that was deleted": (decided(delta("now", catalog=True), {}), ALL),
    "points through an alias that was made": (decided(delta("new", catalog=True), {"new": "c"}), ALL),
    "points through an alias that came and went": (decided(delta("new", catalog=True)), ALL),
    "points under the name of a collection that became an alias": (
        decided(delta("c", replaced=("c",), catalog=True), {"c": "b"}, "ab"),
        {"a": CHANGES, "b": EVERYTHING},
    ),
    "points under the name of an alias that became a collection": (
        decided(delta("now", replaced=("now",)), {}, ["a", "b", "c", "now"]),  # type: ignore[arg-type]
        {"now": EVERYTHING, "a": EVERYTHING},
    ),
    "points under the name of an alias for a while that became a collection": (
        decided(delta("d", replaced=("d",), catalog=True), {}, "abcd"),
        {**ALL, "d": EVERYTHING},
    ),
    "a collection made": (decided(delta(replaced=("d",)), collections="abcd"), {"d": EVERYTHING}),
    "a collection made unheard": (decided(delta(), collections="abcd"), {"d": EVERYTHING}),
    "a collection deleted": (decided(delta(replaced=("c",)), collections="ab"), {}),
    "a collection deleted while aliases changed": (decided(delta(replaced=("c",), catalog=True), {}, "ab"), {}),
    "a collection made again": (decided(delta("a", replaced=("a",))), {"a": EVERYTHING}),
    "a collection replaced through its alias": (decided(delta(replaced=("now",))), {"a": EVERYTHING}),
    "a collection replaced through an alias that was re-pointed": (
        decided(delta(replaced=("now",), catalog=True), {"now": "b"}),
        {"a": EVERYTHING, "b": EVERYTHING, "c": CHANGES},
    ),
    "something unknown": (decided(delta(everything=True)), ALL),
    "something unknown, and one replaced": (
        decided(delta(everything=True, replaced=("b",))),
        {**ALL, "b": EVERYTHING},
    ),
    "no parent": (decided(delta("a"), parent=None), dict.fromkeys("abc", EVERYTHING)),
}


@pytest.mark.parametrize(("found", "expected"), TABLE.values(), ids=TABLE.keys())
def test_what_is_looked_at(found: dict[str, Scope], expected: dict[str, Scope]) -> None:
    """After each kind of write, exactly the collections that it may have changed are streamed."""
    assert found == expected


COUNTS = st.dictionaries(st.sampled_from("ab"), st.integers(0, 3))


@given(before=COUNTS, more=COUNTS, flags=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_a_delta_is_what_grew(before: dict[str, int], more: dict[str, int], flags: tuple[int, int]) -> None:
    """Between two counts exactly the names whose count grew were written to."""
    after = {name: before.get(name, 0) + more.get(name, 0) for name in before | more}
    grown = frozenset(name for name, count in more.items() if count)
    found = Delta.between(Written(5, 1, 1, before, after), Written(9, 1 + flags[0], 1 + flags[1], after, after))
    assert found == Delta(flags[0] > 0, flags[1] > 0, grown, frozenset())
    found = Delta.between(Written(5, 1, 1, before, before), Written(9, 1, 1, before, after))
    assert found == Delta(everything=False, catalog=False, points=frozenset(), replaced=grown)


def kept_in(packs: dict[str, int], files: list[tuple[str, int]], shards: int = 1) -> tuple[CollectionEntry, Manifest]:
    """Return a collection whose files of given sizes are in packs of given sizes, and its manifest."""
    entries = {f"f{number}": FileEntry(pack, 0, size, (), "0" * 64) for number, (pack, size) in enumerate(files)}
    entry = CollectionEntry(0, {}, {str(number): ShardEntry({}, entries) for number in range(shards)})
    named = {name: PackEntry(size, "", "") for name, size in packs.items()}
    return entry, manifests.manifest(collections={"a": entry}, packs=named)


MIB = 1 << 20


@pytest.mark.parametrize(
    ("packs", "files", "worn"),
    [
        ({}, [], False),
        ({"p": 100 * MIB}, [("p", MIB)], False),
        ({"p": 10 * MIB, "q": 10 * MIB}, [("p", 10 * MIB), ("q", MIB)], False),
        ({"p": 10 * MIB, "q": 10 * MIB}, [("p", 8 * MIB), ("q", MIB)], True),
        ({"p": 4000, "q": 4000}, [("p", 100), ("q", 100)], False),
        ({f"p{n}": MIB for n in range(32)}, [(f"p{n}", MIB) for n in range(32)], False),
        ({f"p{n}": MIB for n in range(33)}, [(f"p{n}", MIB) for n in range(33)], True),
    ],
)
def test_what_is_worn_starts_again(packs: dict[str, int], files: list[tuple[str, int]], worn: bool) -> None:  # noqa: FBT001
    """A collection in too many packs, or in packs that are mostly dead, is streamed whole the next time."""
    entry, manifest = kept_in(packs, files)
    assert is_worn(entry, manifest) == worn
    assert scopes(manifest, delta(), ["a"], {}) == {"a": EVERYTHING if worn else NOTHING}


def test_packs_are_counted_by_shard() -> None:
    """A collection of two shards may lie in twice as many packs."""
    entry, manifest = kept_in({f"p{n}": MIB for n in range(40)}, [(f"p{n}", MIB) for n in range(40)], shards=2)
    assert not is_worn(entry, manifest)
    assert not is_worn(entry, None)
