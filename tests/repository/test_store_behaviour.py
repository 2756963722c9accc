import asyncio
import base64
import io
import os
from collections.abc import Awaitable, Callable

import google_crc32c
import pytest

from runtime.errors import AlreadyExists, IntegrityError, ObjectMissing, PreconditionFailed, StoreDenied
from runtime.repository.store import ObjectInfo, Store
from tests.repository.conftest import Run
from tests.support.sources import Collected, DribblingSource, FailingSource, HeldSource

MIB = 1 << 20


async def listed(store: Store, prefix: str = "") -> list[ObjectInfo]:
    """Return a listing."""
    return [info async for info in store.list(prefix)]


async def names(store: Store, prefix: str = "") -> list[str]:
    """Return the names in a listing."""
    return [info.name for info in await listed(store, prefix)]


async def content(store: Store, name: str, offset: int, length: int) -> bytes:
    """Return a range of an object."""
    sink = Collected()
    await store.download(name, offset, length, sink)
    return bytes(sink.data)


def crc32c(data: bytes) -> str:
    """Return the checksum as the service writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def skip_on(store: str, request: pytest.FixtureRequest, reason: str) -> None:
    """Skip a fact that a stand-in does not hold."""
    if f"[{store}" in request.node.name:
        pytest.skip(reason)


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


@pytest.mark.parametrize("size", [1, 262_143, 262_144, MIB, 8 * MIB, 8 * MIB + 1, 17 * MIB])
def test_an_upload_of_any_length_arrives_whole(run: Run, store: Store, size: int) -> None:
    """Around every chunk's end: nothing lost, nothing twice."""
    data = os.urandom(size)
    info = run(store.upload("packs/p.tar", io.BytesIO(data)))
    assert (info.size, info.crc32c) == (size, crc32c(data))
    assert run(store.read("packs/p.tar")) == (data, info.generation)


def test_a_source_may_give_less_than_it_is_asked_for(run: Run, store: Store) -> None:
    """Only b'' is the end."""
    data = os.urandom(700_001)
    run(store.upload("pack", DribblingSource(data, 65_537)))
    assert run(store.read("pack"))[0] == data


@pytest.mark.parametrize("good", [0, 1, 3 * MIB, 9 * MIB, 16 * MIB])
def test_a_source_that_raises_leaves_no_object(run: Run, store: Store, good: int) -> None:
    """What it raised comes out unchanged, and nothing cut is ever published."""
    error = OSError(5, "the engine hung up")
    with pytest.raises(OSError, match="the engine hung up") as raised:
        run(store.upload("pack", FailingSource(good, error)))
    assert raised.value is error
    assert run(names(store)) == []
    with pytest.raises(ObjectMissing):
        run(store.stat("pack"))


def test_after_a_failed_upload_the_name_is_free(run: Run, store: Store) -> None:
    """A second attempt needs no other name."""
    with pytest.raises(ValueError, match="first"):
        run(store.upload("pack", FailingSource(2 * MIB, ValueError("first"))))
    run(store.upload("pack", io.BytesIO(b"second")))
    assert run(store.read("pack"))[0] == b"second"


@pytest.mark.parametrize("rest", [0, MIB])
def test_a_cancelled_upload_leaves_no_object(
    request: pytest.FixtureRequest, run: Run, open_again: Callable[[], Store], rest: int
) -> None:
    """Cancelled while the source was being waited for, even though the source then goes on and ends well."""
    skip_on("model", request, "the model reads a source without a thread")
    store = open_again()
    source = HeldSource(9 * MIB, rest)

    async def cancel_half_way() -> None:
        """Cancel while the source is being waited for."""
        task = asyncio.create_task(store.upload("pack", source))
        await asyncio.to_thread(source.reached.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, source.release.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel_half_way())
    assert run(names(open_again())) == []


def test_an_unfinished_upload_is_invisible(
    request: pytest.FixtureRequest, run: Run, open_again: Callable[[], Store]
) -> None:
    """Neither read, nor stat, nor a listing shows it, until it is whole."""
    skip_on("model", request, "the model reads a source without a thread")
    skip_on("emulator", request, "fake-gcs-server shows unfinished uploads")
    store, other = open_again(), open_again()
    source = HeldSource(9 * MIB, MIB)

    async def look_meanwhile() -> None:
        """Look before and after the end."""
        task = asyncio.create_task(store.upload("pack", source))
        await asyncio.to_thread(source.reached.wait, 20)
        assert await names(other) == []
        with pytest.raises(ObjectMissing):
            await other.stat("pack")
        source.release.set()
        await task
        assert await names(other) == ["pack"]

    run(look_meanwhile())


@pytest.mark.parametrize(("offset", "length"), [(0, 3 * MIB), (0, 0), (5, 0), (1, 1), (MIB - 1, 2), (2 * MIB, MIB)])
def test_a_range_is_exact(run: Run, store: Store, offset: int, length: int) -> None:
    """Not a byte more or less."""
    data = os.urandom(3 * MIB)
    run(store.upload("pack", io.BytesIO(data)))
    assert run(content(store, "pack", offset, length)) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (10, 1), (50, 5)])
def test_an_object_that_is_too_short_is_an_integrity_error(run: Run, store: Store, offset: int, length: int) -> None:
    """A cut pack is never delivered as if it were whole."""
    run(store.write_new("pack", b"0123456789"))
    with pytest.raises(IntegrityError):
        run(content(store, "pack", offset, length))


def test_what_a_sink_raises_ends_the_download(run: Run, store: Store) -> None:
    """Unchanged, so that the caller knows its own error."""

    class FullSink:
        """Has no room."""

        def write(self, data: bytes | memoryview) -> None:
            """Refuse."""
            raise OSError(28, f"no room for {len(data)}")

    run(store.write_new("pack", bytes(100)))
    with pytest.raises(OSError, match="no room for") as raised:
        run(store.download("pack", 0, 100, FullSink()))
    assert type(raised.value) is OSError


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
