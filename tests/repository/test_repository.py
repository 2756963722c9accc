import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from runtime.errors import IntegrityError, StoreDenied, StoreError, StoreUnreachable
from runtime.repository import names
from runtime.repository.manifest import FileEntry
from runtime.repository.repository import Repository, Superseded
from tests.support import manifests
from tests.support.faults import Faults, always, denied
from tests.support.manifests import manifest_name
from tests.support.model_store import FaultKind, ModelBucket, ModelStore
from tests.support.sources import Collected

T = TypeVar("T")


class Place:
    """A bucket, a repository in it, and what may happen to its store."""

    def __init__(self) -> None:
        self.bucket = ModelBucket()
        self.faults = Faults()
        self.repository = Repository(ModelStore(self.bucket, "one", plan=self.faults, list_page=3))
        self.other = Repository(ModelStore(self.bucket, "two"))


def run(story: Callable[[Place], Awaitable[T]]) -> T:
    """Run a story in a bucket of its own."""

    async def tell() -> T:
        """Tell it."""
        return await story(Place())

    return asyncio.run(tell())


HEAD = manifests.head()
NEXT = manifests.head(2)


def test_no_head_is_none() -> None:
    """A bucket that answers that there is no HEAD has none."""
    assert run(lambda place: place.repository.head()) is None


@pytest.mark.parametrize("error", [StoreUnreachable, StoreDenied])
def test_an_error_is_never_no_head(error: type[StoreError]) -> None:
    """A bucket that refuses, or cannot be reached, is an error."""

    async def story(place: Place) -> None:
        """Tell it."""
        plan = always("read", lambda: error("The model's fault"))
        with pytest.raises(error):
            await Repository(ModelStore(place.bucket, plan=plan)).head()

    run(story)


def test_head_is_swapped_only_as_it_was_read() -> None:
    """A swap names the generation it replaces; one that comes too late is told what HEAD says now."""

    async def story(place: Place) -> None:
        """Tell it."""
        first = await place.repository.swap_head(HEAD, 0)
        assert await place.other.head() == first
        second = await place.other.swap_head(NEXT, first.generation)
        with pytest.raises(Superseded) as caught:
            await place.repository.swap_head(replace(HEAD, clean=True), first.generation)
        assert caught.value.found == second
        with pytest.raises(Superseded):
            await place.repository.swap_head(HEAD, 0)

    run(story)


@pytest.mark.parametrize("kind", [FaultKind.FAIL_AFTER, FaultKind.RETRIED])
def test_a_swap_whose_reply_was_lost_is_found_done(kind: FaultKind) -> None:
    """The answer is looked up: HEAD with exactly these bytes, in a new generation, is ours."""

    async def story(place: Place) -> None:
        """Tell it."""
        first = await place.repository.swap_head(HEAD, 0)
        place.faults.next("swap", kind)
        second = await place.repository.swap_head(NEXT, first.generation)
        assert await place.other.head() == second
        assert second.generation > first.generation

    run(story)


def test_a_swap_that_took_no_effect_is_not_found_done() -> None:
    """HEAD with the same bytes in the old generation is not ours: a touch that failed is an error."""

    async def story(place: Place) -> None:
        """Tell it."""
        first = await place.repository.swap_head(HEAD, 0)
        for head in (HEAD, NEXT):
            place.faults.next("swap", FaultKind.FAIL_BEFORE)
            with pytest.raises(StoreUnreachable):
                await place.repository.swap_head(head, first.generation)
            assert await place.other.head() == first

    run(story)


def test_a_lost_reply_that_cannot_be_looked_up_is_an_error() -> None:
    """With the store gone after the swap nobody knows: it is an error, and neither done nor superseded."""

    async def story(place: Place) -> None:
        """Tell it."""
        first = await place.repository.swap_head(HEAD, 0)
        place.faults.next("swap", FaultKind.FAIL_AFTER)
        place.faults.next("read", FaultKind.FAIL_BEFORE)
        with pytest.raises(StoreUnreachable):
            await place.repository.swap_head(NEXT, first.generation)

    run(story)


def test_a_lost_reply_after_which_somebody_else_swapped_is_superseded_or_an_error() -> None:
    """Found with another's bytes, HEAD is not claimed to be ours."""

    async def story(place: Place) -> None:
        """Tell it."""
        first = await place.repository.swap_head(HEAD, 0)
        place.faults.next("swap", FaultKind.FAIL_BEFORE)
        await place.other.swap_head(replace(NEXT, holder="two"), first.generation)
        with pytest.raises(StoreUnreachable):
            await place.repository.swap_head(replace(NEXT, holder="one"), first.generation)

    run(story)


def test_a_denied_swap_is_denied() -> None:
    """A refusal of the account is not looked up."""

    async def story(place: Place) -> None:
        """Tell it."""
        store = ModelStore(place.bucket, plan=always("swap", denied))
        with pytest.raises(StoreDenied):
            await Repository(store).swap_head(HEAD, 0)
        assert store.operations == 1

    run(story)


def test_a_manifest_is_read_as_it_was_written() -> None:
    """Name and hash of the written object find it again; a wrong hash is damage."""

    async def story(place: Place) -> None:
        """Tell it."""
        manifest = manifests.manifest(3, 7)
        name, sha256 = await place.repository.write_manifest(manifest)
        assert name == manifest_name(3, 7)
        assert await place.repository.manifest(name, sha256) == manifest
        with pytest.raises(IntegrityError):
            await place.repository.manifest(name, "0" * 64)

    run(story)


def test_a_missing_manifest_is_damage() -> None:
    """What HEAD or a name promises and the bucket has not is an IntegrityError, not `nothing there`."""
    with pytest.raises(IntegrityError, match="missing"):
        run(lambda place: place.repository.manifest(manifest_name(1, 1)))


def test_a_manifest_under_another_s_name_is_damage() -> None:
    """A manifest says which backup it is, and must be found there."""

    async def story(place: Place) -> None:
        """Tell it."""
        place.bucket.put("test", "write_new", manifest_name(1, 2), manifests.manifest(1, 1).encode(), 0)
        with pytest.raises(IntegrityError, match="another backup"):
            await place.repository.manifest(manifest_name(1, 2))

    run(story)


def test_a_manifest_that_no_restore_would_accept_is_not_written() -> None:
    """What reading would refuse is refused before it is committed."""

    async def story(place: Place) -> None:
        """Tell it."""
        entry = FileEntry("packs/p", 0, 5, (), "0" * 64)
        wrong = manifests.of_files("packs/p", {"../x": entry}, b"12345")
        with pytest.raises(IntegrityError, match="outside"):
            await place.repository.write_manifest(wrong)
        assert place.bucket.objects == {}

    run(story)


def test_manifests_are_listed_by_their_names_alone() -> None:
    """Names come oldest first, over several pages, and what is no manifest's name is left out."""

    async def story(place: Place) -> None:
        """Tell it."""
        assert not await place.repository.has_manifests()
        place.bucket.put("test", "write_new", "manifests/readme.json", b"", 0)
        assert not await place.repository.has_manifests()
        wanted = [manifest_name(epoch, seq) for epoch, seq in [(1, 1), (1, 2), (2, 2), (2, 3), (10, 4), (11, 5)]]
        for name in reversed(wanted):
            place.bucket.put("test", "write_new", name, b"", 0)
        assert await place.repository.manifest_names() == wanted
        assert await place.repository.has_manifests()
        found = [info.name async for info in place.repository.objects(names.MANIFESTS)]
        assert set(found) == {*wanted, "manifests/readme.json"}

    run(story)


def test_a_taken_pack_name_is_an_integrity_error() -> None:
    """Two writers of one epoch are a broken fence, not a store's hiccup; the same bytes are a lost reply."""

    async def story(place: Place) -> None:
        """Tell it."""
        await place.repository.write_pack("packs/p", io.BytesIO(b"one"))
        assert (await place.repository.write_pack("packs/p", io.BytesIO(b"one"))).size == 3
        with pytest.raises(IntegrityError, match="taken"):
            await place.repository.write_pack("packs/p", io.BytesIO(b"two"))

    run(story)


def test_a_range_of_a_missing_pack_is_damage() -> None:
    """A pack that is gone, or too short, is an IntegrityError."""

    async def story(place: Place) -> None:
        """Tell it."""
        sink = Collected()
        with pytest.raises(IntegrityError, match="missing"):
            await place.repository.read_range("packs/p", 0, 1, sink)
        await place.repository.write_pack("packs/p", io.BytesIO(b"12345"))
        with pytest.raises(IntegrityError):
            await place.repository.read_range("packs/p", 3, 3, sink)
        await place.repository.read_range("packs/p", 1, 3, sink)
        assert sink.data == b"234"

    run(story)
