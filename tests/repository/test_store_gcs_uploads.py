"""Writes to a bucket whose network fails: what was written is there once, whole, or not at all."""

import asyncio
import io
import os
from collections.abc import Callable

import pytest

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    PreconditionFailed,
)
from runtime.repository.gcs import GcsStore
from tests.repository.conftest import Run
from tests.repository.faults import (
    CHUNK,
    WITHOUT_EFFECT,
    begins,
    finals,
    parts,
    writes,
)
from tests.repository.stores import MIB, cancel_half_way, crc32c
from tests.support.sources import FailingSource, HeldSource
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked


@pytest.mark.parametrize("wire", [*WITHOUT_EFFECT, Wire.RESET_AFTER])
def test_a_create_whose_reply_is_lost_is_a_success(run: Run, strict: StrictGcs, gcs: GcsStore, wire: Wire) -> None:
    """The retry meets its own work as a 412, looks, and finds its own bytes."""
    strict.fail_once(wire, writes)
    info = run(gcs.write_new("manifests/1", b"mine"))
    assert run(gcs.read("manifests/1")) == (b"mine", info.generation)
    if wire is Wire.RESET_AFTER:
        assert [a.status for a in strict.asked if writes(a)] == [200, 412]


def test_a_swap_whose_reply_is_lost_may_say_precondition_failed(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """As the Protocol warns: it took effect, the library's own retry hid that, and a read tells."""
    first = run(gcs.write_new("HEAD", b"1"))
    strict.fail_once(Wire.RESET_AFTER, writes)
    with pytest.raises(PreconditionFailed):
        run(gcs.swap("HEAD", b"2", first.generation))
    assert run(gcs.read("HEAD"))[0] == b"2"


@pytest.mark.parametrize("wire", WITHOUT_EFFECT)
def test_a_swap_that_had_no_effect_is_tried_again(run: Run, strict: StrictGcs, gcs: GcsStore, wire: Wire) -> None:
    """Within the deadline the caller notices nothing."""
    first = run(gcs.write_new("HEAD", b"1"))
    strict.fail_once(wire, writes, times=2)
    second = run(gcs.swap("HEAD", b"2", first.generation))
    assert run(gcs.read("HEAD")) == (b"2", second.generation)


def test_a_small_body_that_arrives_wrong_is_refused(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Its CRC32C is in the request, so nothing becomes visible."""
    data = bytes(5000)
    strict.fail_once(Wire.FLIP_REQUEST, writes)
    with pytest.raises(IntegrityError, match="other bytes arrived"):
        run(gcs.write_new("HEAD", data))
    assert strict.objects.stored == {}


def test_a_stream_that_arrives_wrong_is_refused(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """The last request carries the CRC32C of all that was read."""
    strict.fail_once(Wire.FLIP_REQUEST, parts)
    with pytest.raises(IntegrityError):
        run(gcs.upload("pack", io.BytesIO(os.urandom(CHUNK + 5))))
    assert strict.objects.stored == {}


@pytest.mark.parametrize("size", [0, 5, CHUNK, CHUNK + 5])
def test_the_last_request_alone_carries_length_and_checksum(
    run: Run, strict: StrictGcs, gcs: GcsStore, size: int
) -> None:
    """On the wire: chunks of 8 MiB of unknown total, then the total with X-Goog-Hash."""
    data = os.urandom(size)
    run(gcs.upload("pack", io.BytesIO(data)))
    sent = [(a.header("content-range"), a.header("x-goog-hash")) for a in strict.asked if a.method == "PUT"]
    last = f"bytes {size // CHUNK * CHUNK}-{size - 1}/{size}" if size % CHUNK else f"bytes */{size}"
    assert sent[-1] == (last, f"crc32c={crc32c(data)}")
    assert sent[:-1] == [(f"bytes {n * CHUNK}-{(n + 1) * CHUNK - 1}/*", "") for n in range(size // CHUNK)]
    assert [a.query["ifGenerationMatch"] for a in strict.asked if begins(a)] == ["0"]


@pytest.mark.parametrize("where", [begins, parts, finals])
@pytest.mark.parametrize("wire", [*WITHOUT_EFFECT, Wire.RESET_AFTER, Wire.HALF_REQUEST, Wire.HALF_TAKEN])
def test_an_upload_goes_on_where_it_was_interrupted(
    run: Run, strict: StrictGcs, gcs: GcsStore, wire: Wire, where: Callable[[Asked], bool]
) -> None:
    """At its beginning, in a chunk and at its end, the stream being read once."""
    if where is begins and wire in {Wire.HALF_REQUEST, Wire.HALF_TAKEN}:
        wire = Wire.RESET_AFTER
    data = os.urandom(CHUNK + 3 * MIB + 7)
    strict.fail_once(wire, where)
    info = run(gcs.upload("pack", io.BytesIO(data)))
    assert (info.name, info.size, info.crc32c) == ("pack", len(data), crc32c(data))
    assert strict.objects.stored["p/pack"].data == data


def test_an_upload_survives_many_interruptions(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Progress renews its patience: every second request is lost."""
    data = os.urandom(3 * CHUNK + 1)
    count = [0]

    def every_second(asked: Asked) -> Wire | None:
        """Lose it on the way there or back."""
        count[0] += asked.method == "PUT"
        return [None, Wire.RESET_AFTER, None, Wire.HALF_REQUEST][count[0] % 4] if asked.method == "PUT" else None

    strict.plan = every_second
    run(gcs.upload("pack", io.BytesIO(data)))
    assert strict.objects.stored["p/pack"].data == data


@pytest.mark.parametrize("good", [0, 5, CHUNK, CHUNK + 5])
def test_a_source_that_raises_finalises_nothing(run: Run, strict: StrictGcs, gcs: GcsStore, good: int) -> None:
    """No request says the total, and the session is discarded."""
    with pytest.raises(ValueError, match="the engine died"):
        run(gcs.upload("pack", FailingSource(good, ValueError("the engine died"))))
    assert not any(asked.finalises for asked in strict.asked if asked.method == "PUT")
    assert strict.asked[-1].method == "DELETE"
    assert strict.objects.stored == {}


def test_a_cancelled_upload_finalises_nothing(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Although its source goes on and ends well."""
    run(cancel_half_way(gcs, "pack", HeldSource(CHUNK + MIB, MIB)))
    assert not any(asked.finalises for asked in strict.asked if asked.method == "PUT")
    assert strict.objects.stored == {}


def test_another_upload_goes_through_after_a_cancelled_one(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Its thread and its place are free again."""
    for _ in range(5):
        with pytest.raises(ValueError, match="x"):
            run(gcs.upload("pack", FailingSource(1, ValueError("x"))))
    run(gcs.upload("pack", io.BytesIO(b"whole")))
    assert strict.objects.stored["p/pack"].data == b"whole"


def test_an_upload_that_somebody_else_won_says_so(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Taken while the stream was on its way: 412 at the end, and their bytes stay."""
    source = HeldSource(MIB, MIB)

    async def lose() -> None:
        """Create the name while the stream is being read."""
        task = asyncio.create_task(gcs.upload("pack", source))
        await asyncio.to_thread(source.reached.wait, 20)
        await gcs.write_new("pack", b"theirs")
        source.release.set()
        with pytest.raises(AlreadyExists):
            await task

    run(lose())
    assert strict.objects.stored["p/pack"].data == b"theirs"
