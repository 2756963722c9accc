"""Uploads and downloads of any length, in every store: whole, exact, or nothing."""

import asyncio
import io
import os
from collections.abc import Callable

import pytest

from runtime.errors import IntegrityError, ObjectMissing
from runtime.repository.store import Store
from tests.repository.conftest import Run
from tests.repository.stores import MIB, cancel_half_way, content, crc32c, names, skip_on
from tests.support.sources import DribblingSource, FailingSource, HeldSource


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
    run(cancel_half_way(store, "pack", HeldSource(9 * MIB, rest)))
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
