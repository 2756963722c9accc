"""What is listed, deleted and may be a name, in every store."""

import io
from collections.abc import Awaitable, Callable

import pytest

from runtime.errors import ObjectMissing, PreconditionFailed, StoreDenied
from runtime.repository.store import Store
from tests.repository.conftest import Run
from tests.repository.stores import names, skip_on
from tests.support.sources import Collected


def test_a_listing_is_in_name_order_and_below_its_prefix(run: Run, store: Store) -> None:
    """Order of UTF-8 bytes, over page ends; a prefix need not end at a slash."""
    wanted = ["a", "a.txt", "a-b/c", "b/1", "b/10", "b/2", "b.d/e", "bc", "z/y/x/w", "ä/ö"]
    for name in reversed(wanted):
        run(store.write_new(name, name.encode()))
    assert run(names(store)) == sorted(wanted)
    assert run(names(store, "b")) == ["b.d/e", "b/1", "b/10", "b/2", "bc"]
    assert run(names(store, "b/")) == ["b/1", "b/10", "b/2"]
    assert run(names(store, "b/1")) == ["b/1", "b/10"]
    assert run(names(store, "z/y/")) == ["z/y/x/w"]
    assert run(names(store, "nothing/here")) == []


def test_an_empty_store_lists_nothing(run: Run, store: Store) -> None:
    """Empty is an answer, not an error."""
    assert run(names(store)) == []
    assert run(names(store, "manifests/")) == []


def test_a_deleted_object_is_gone(run: Run, store: Store) -> None:
    """For reads and listings, and its name is free again."""
    info = run(store.write_new("packs/1", b"1"))
    run(store.delete("packs/1", info.generation))
    assert run(names(store)) == []
    with pytest.raises(ObjectMissing):
        run(store.read("packs/1"))
    assert run(store.write_new("packs/1", b"2")).generation != info.generation


def test_deleting_what_is_not_there_is_no_error(run: Run, store: Store) -> None:
    """A prune that is run again goes through."""
    run(store.delete("packs/none", 17))


def test_only_the_generation_that_was_looked_at_is_deleted(
    request: pytest.FixtureRequest, run: Run, store: Store
) -> None:
    """A delete decided upon an older state does not hit the newer object."""
    skip_on("emulator", request, "fake-gcs-server ignores ifGenerationMatch on delete")
    first = run(store.write_new("HEAD", b"1"))
    run(store.swap("HEAD", b"2", first.generation))
    with pytest.raises(PreconditionFailed):
        run(store.delete("HEAD", first.generation))
    assert run(store.read("HEAD"))[0] == b"2"


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../outside", "a/../../b", "a//b", "a/", "./a", "a\0b", "a\nb", "x" * 1025]
)
def test_names_that_lead_elsewhere_are_refused(run: Run, store: Store, name: str) -> None:
    """By every verb, before anything is touched."""
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.read(name),
        lambda: store.stat(name),
        lambda: store.write_new(name, b""),
        lambda: store.swap(name, b"", 0),
        lambda: store.upload(name, io.BytesIO(b"")),
        lambda: store.download(name, 0, 0, Collected()),
        lambda: store.delete(name, 1),
    ]
    for call in calls:
        with pytest.raises(StoreDenied):
            run(call())


def test_names_with_spaces_and_any_script_are_kept(run: Run, store: Store) -> None:
    """Collections are named by people."""
    name = "exports/2026/01/02/Größe %2F #1 ?x=日本-20260102T000000Z.snapshot"
    run(store.write_new(name, b"1"))
    assert run(names(store, "exports/")) == [name]
    assert run(store.read(name))[0] == b"1"


def test_a_second_client_sees_what_the_first_one_was_answered(run: Run, open_again: Callable[[], Store]) -> None:
    """Nothing is kept in a client."""
    one, two = open_again(), open_again()
    info = run(one.write_new("HEAD", b"1"))
    assert run(two.read("HEAD")) == (b"1", info.generation)
    newer = run(two.swap("HEAD", b"2", info.generation))
    assert run(one.read("HEAD")) == (b"2", newer.generation)
    assert str(one) == str(two)
