"""What every store does with a single object: create, read, replace, and who wins."""

import asyncio
import io

import pytest

from runtime.errors import AlreadyExists, ObjectMissing, PreconditionFailed
from runtime.repository.store import ObjectInfo, Store
from tests.repository.conftest import Run
from tests.repository.stores import content, crc32c, listed, names, skip_on


def test_what_was_written_is_read_back_with_its_generation(run: Run, store: Store) -> None:
    """A read that starts after the answer to a write sees it."""
    info = run(store.write_new("manifests/1.json", b"{}"))
    assert run(store.read("manifests/1.json")) == (b"{}", info.generation)


def test_an_object_says_its_name_size_generation_and_checksum(run: Run, store: Store) -> None:
    """The answer to the write, stat and listing agree, and the checksum is CRC32C in base64."""
    info = run(store.write_new("a/b", b"hello"))
    assert info == ObjectInfo("a/b", 5, info.generation, crc32c(b"hello"))
    assert info.generation > 0
    assert run(store.stat("a/b")) == info
    assert run(listed(store)) == [info]


def test_an_empty_object_is_an_object(run: Run, store: Store) -> None:
    """Nothing as content is not nothing there."""
    info = run(store.write_new("empty", b""))
    assert (info.size, info.crc32c) == (0, crc32c(b""))
    assert run(store.read("empty")) == (b"", info.generation)
    assert run(store.upload("also-empty", io.BytesIO())).size == 0
    assert run(content(store, "also-empty", 0, 0)) == b""


@pytest.mark.parametrize("verb", ["read", "stat"])
def test_a_missing_object_is_object_missing(run: Run, store: Store, verb: str) -> None:
    """Not None, not empty, and not another error."""
    with pytest.raises(ObjectMissing):
        run(getattr(store, verb)("HEAD"))


def test_a_missing_object_cannot_be_downloaded(run: Run, store: Store) -> None:
    """Ranges of nothing are missing too."""
    with pytest.raises(ObjectMissing):
        run(content(store, "packs/none", 0, 1))


def test_a_taken_name_is_refused_and_its_content_stays(run: Run, store: Store) -> None:
    """write_new never overwrites."""
    first = run(store.write_new("HEAD", b"first"))
    with pytest.raises(AlreadyExists):
        run(store.write_new("HEAD", b"other"))
    assert run(store.read("HEAD")) == (b"first", first.generation)


def test_the_same_bytes_under_a_taken_name_count_as_written(run: Run, store: Store) -> None:
    """Whoever lost the reply to a create gets the answer by creating again."""
    first = run(store.write_new("manifests/1", b"same"))
    assert run(store.write_new("manifests/1", b"same")) == first


def test_an_upload_never_overwrites(request: pytest.FixtureRequest, run: Run, store: Store) -> None:
    """A taken name refuses other bytes from a stream, and takes the same for its own."""
    skip_on("emulator", request, "fake-gcs-server ignores ifGenerationMatch on resumable uploads")
    first = run(store.write_new("pack", b"first"))
    assert run(store.upload("pack", io.BytesIO(b"first"))) == first
    with pytest.raises(AlreadyExists):
        run(store.upload("pack", io.BytesIO(b"other")))
    assert run(store.read("pack"))[0] == b"first"


def test_swap_replaces_the_generation_it_was_given(run: Run, store: Store) -> None:
    """Compare and swap, with a generation that rises."""
    first = run(store.write_new("HEAD", b"1"))
    second = run(store.swap("HEAD", b"22", first.generation))
    assert second == ObjectInfo("HEAD", 2, second.generation, crc32c(b"22"))
    assert second.generation > first.generation
    assert run(store.read("HEAD")) == (b"22", second.generation)


def test_swap_refuses_any_other_generation(run: Run, store: Store) -> None:
    """An old generation, one that never was, or none while there is one."""
    first = run(store.write_new("HEAD", b"1"))
    second = run(store.swap("HEAD", b"2", first.generation))
    for wrong in (first.generation, second.generation + 1, 0):
        with pytest.raises(PreconditionFailed):
            run(store.swap("HEAD", b"3", wrong))
    assert run(store.read("HEAD")) == (b"2", second.generation)


def test_swap_of_generation_zero_creates(run: Run, store: Store) -> None:
    """0 means that there is none."""
    info = run(store.swap("HEAD", b"1", 0))
    assert run(store.read("HEAD")) == (b"1", info.generation)


def test_swap_does_not_create_what_it_should_replace(run: Run, store: Store) -> None:
    """A missing object has no generation to match."""
    with pytest.raises(PreconditionFailed):
        run(store.swap("HEAD", b"1", 5))
    assert run(names(store)) == []


def test_swapping_in_the_same_bytes_is_still_a_new_generation(run: Run, store: Store) -> None:
    """Who polls the generation sees every swap."""
    first = run(store.swap("HEAD", b"same", 0))
    assert run(store.swap("HEAD", b"same", first.generation)).generation > first.generation


def test_of_racing_creators_one_wins(run: Run, store: Store) -> None:
    """Eight at once, one success, and its bytes are there."""

    async def race() -> list[object]:
        """Start all at once."""
        calls = (store.write_new("claim", f"writer {n}".encode()) for n in range(8))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    outcomes = run(race())
    won = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, ObjectInfo)]
    assert len(won) == 1
    assert all(isinstance(o, AlreadyExists) for n, o in enumerate(outcomes) if n not in won)
    assert run(store.read("claim"))[0] == f"writer {won[0]}".encode()


def test_of_racing_swaps_one_wins(run: Run, store: Store) -> None:
    """The others are told."""
    info = run(store.write_new("HEAD", b"0"))

    async def race() -> list[object]:
        """Start all at once."""
        calls = (store.swap("HEAD", b"%d" % n, info.generation) for n in range(8))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    outcomes = run(race())
    assert sum(isinstance(outcome, ObjectInfo) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 7
