import asyncio
import base64
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import google_crc32c
import pytest

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    ObjectMissing,
    PreconditionFailed,
    StoreDenied,
    StoreError,
    StoreUnreachable,
)
from runtime.repository.gcs import GcsStore
from tests.repository.conftest import Run
from tests.support.sources import Collected, FailingSource, HeldSource
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked

REPOSITORY = Path(__file__).parents[2]
MIB = 1 << 20
CHUNK = 8 * MIB
SECONDS = 2.0
WITHOUT_EFFECT = [Wire.UNAVAILABLE, Wire.BUSY, Wire.RESET_BEFORE]


@pytest.fixture
def gcs(run: Run, strict: StrictGcs) -> Iterator[GcsStore]:
    """Give a store on the strict server, with a short deadline."""
    store = GcsStore("backups", "p", emulator_host=strict.url, deadline_seconds=SECONDS)
    yield store
    run(store.close())


def writes(asked: Asked) -> bool:
    """Match what makes an object of a small body."""
    return asked.method == "POST" and asked.query.get("uploadType") == "multipart"


def begins(asked: Asked) -> bool:
    """Match the first request of a resumable upload."""
    return asked.method == "POST" and asked.query.get("uploadType") == "resumable"


def parts(asked: Asked) -> bool:
    """Match a chunk of a resumable upload."""
    return asked.method == "PUT" and bool(asked.body)


def finals(asked: Asked) -> bool:
    """Match the last chunk of a resumable upload."""
    return asked.method == "PUT" and asked.finalises and bool(asked.header("x-goog-hash"))


def media(asked: Asked) -> bool:
    """Match a download."""
    return asked.method == "GET" and asked.query.get("alt") == "media"


def anything(_: Asked) -> bool:
    """Match every request."""
    return True


async def content(store: GcsStore, name: str, offset: int, length: int) -> bytes:
    """Return a range of an object."""
    sink = Collected()
    await store.download(name, offset, length, sink)
    return bytes(sink.data)


def crc32c(data: bytes) -> str:
    """Return the checksum as the service writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


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
    source = HeldSource(CHUNK + MIB, MIB)

    async def cancel_half_way() -> None:
        """Cancel while the source is being waited for."""
        task = asyncio.create_task(gcs.upload("pack", source))
        await asyncio.to_thread(source.reached.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, source.release.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel_half_way())
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


@pytest.mark.parametrize("wire", [Wire.CUT, Wire.UNAVAILABLE, Wire.RESET_AFTER])
def test_a_cut_download_goes_on_where_it_was_cut(run: Run, strict: StrictGcs, gcs: GcsStore, wire: Wire) -> None:
    """In the same generation, with the range that is missing."""
    data = os.urandom(5 * MIB)
    run(gcs.upload("pack", io.BytesIO(data)))
    strict.fail_once(wire, media, times=2)
    assert run(content(gcs, "pack", 3, 4 * MIB)) == data[3 : 3 + 4 * MIB]
    if wire is Wire.CUT:
        resumed = [a for a in strict.asked if media(a)][1:]
        assert all(a.query["generation"] for a in resumed)
        assert resumed[0].header("range") != f"bytes=3-{3 + 4 * MIB - 1}"


@pytest.mark.parametrize("wire", [Wire.CUT, Wire.FLIP, Wire.RESET_AFTER])
def test_a_small_read_that_arrives_wrong_is_read_again(run: Run, strict: StrictGcs, gcs: GcsStore, wire: Wire) -> None:
    """A transfer's fault is not the backup's."""
    data = os.urandom(5000)
    info = run(gcs.write_new("HEAD", data))
    strict.fail_once(wire, media)
    assert run(gcs.read("HEAD")) == (data, info.generation)


def test_bytes_that_differ_from_their_checksum_are_an_integrity_error(
    run: Run, strict: StrictGcs, gcs: GcsStore
) -> None:
    """Every time they are read, so it is not the wire."""
    run(gcs.write_new("HEAD", bytes(100)))
    strict.fail_once(Wire.FLIP, media, times=100)
    with pytest.raises(IntegrityError):
        run(gcs.read("HEAD"))


def test_a_reader_never_gets_one_version_s_bytes_with_another_s_generation(
    run: Run, strict: StrictGcs, gcs: GcsStore
) -> None:
    """HEAD swapped between two attempts of one read."""
    first = run(gcs.write_new("HEAD", b"1" * 5000))
    other = GcsStore("backups", "p", emulator_host=strict.url)
    swapped = run(other.swap("HEAD", b"2" * 5000, first.generation))
    strict.objects.stored["p/HEAD"].data, held = b"1" * 5000, strict.objects.stored["p/HEAD"].data
    strict.objects.stored["p/HEAD"].generation = first.generation

    def swap_meanwhile(asked: Asked) -> Wire | None:
        """Cut the first answer, then let the second one be of the new version."""
        if media(asked) and strict.objects.stored["p/HEAD"].data != held:
            strict.objects.stored["p/HEAD"].data = held
            strict.objects.stored["p/HEAD"].generation = swapped.generation
            return Wire.RESET_BEFORE
        return None

    strict.plan = swap_meanwhile
    assert run(gcs.read("HEAD")) == (held, swapped.generation)
    run(other.close())


async def every_verb(store: GcsStore) -> list[object]:
    """Call everything once and return what was raised."""

    async def listing() -> None:
        """List."""
        async for _ in store.list(""):
            pass

    calls: list[Coroutine[object, object, object]] = [
        store.read("HEAD"),
        store.stat("HEAD"),
        store.write_new("new", b""),
        store.swap("HEAD", b"", 1),
        store.upload("pack", io.BytesIO(b"")),
        store.download("pack", 0, 1, Collected()),
        store.delete("HEAD", 1),
        listing(),
    ]
    return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]


def test_a_refused_account_is_store_denied_with_the_permission(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Whatever is called: never 'no backup'."""
    strict.objects.denied = True
    for outcome in run(every_verb(gcs)):
        assert isinstance(outcome, StoreDenied)
        assert "storage.objects." in outcome.hint
        assert "backups" in outcome.message


def test_a_missing_bucket_is_store_denied_by_its_name(run: Run, strict: StrictGcs) -> None:
    """Whatever is called: a typing error in BACKUP_URL never starts empty."""
    store = GcsStore("backupz", emulator_host=strict.url, deadline_seconds=SECONDS)
    for outcome in run(every_verb(store)):
        assert isinstance(outcome, StoreDenied)
        assert "backupz" in outcome.message
        assert "BACKUP_URL" in outcome.hint
    run(store.close())


def test_a_missing_bucket_of_an_emulator_is_told_apart_too(run: Run, emulator: str) -> None:
    """Its 404 does not say which; a listing does."""
    store = GcsStore("backupz", emulator_host=emulator, deadline_seconds=SECONDS)
    with pytest.raises(StoreDenied, match="backupz"):
        run(store.read("HEAD"))
    run(store.close())


def test_an_unreachable_store_is_said_within_the_deadline(run: Run) -> None:
    """A port where nobody listens: every verb ends in time."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = GcsStore("backups", emulator_host=f"127.0.0.1:{taken.getsockname()[1]}", deadline_seconds=0.5)
        started = time.monotonic()
        outcomes = run(every_verb(store))
        elapsed = time.monotonic() - started
        run(store.close())
    assert all(isinstance(outcome, StoreUnreachable) for outcome in outcomes)
    # The first call also imports the client; eight verbs, each with its own deadline.
    assert elapsed < 8 * 0.5 * 2 + 2


def test_a_store_that_never_answers_is_said_within_the_deadline(run: Run, strict: StrictGcs) -> None:
    """Connections are taken, answers do not come."""
    strict.fail_once(Wire.SILENCE, anything, times=1000)
    store = GcsStore("backups", emulator_host=strict.url, deadline_seconds=0.5)
    started = time.monotonic()
    outcomes = run(every_verb(store))
    assert all(isinstance(outcome, StoreUnreachable) for outcome in outcomes)
    assert time.monotonic() - started < 8 * 0.5 * 2 + 2
    run(store.close())


@pytest.mark.parametrize("wire", [Wire.UNAVAILABLE, Wire.BUSY])
def test_a_store_that_stays_overloaded_is_unreachable(run: Run, strict: StrictGcs, wire: Wire) -> None:
    """After retries within the deadline, and not 'no backup'."""
    gcs = GcsStore("backups", "p", emulator_host=strict.url, deadline_seconds=0.5)
    strict.fail_once(wire, anything, times=1000)
    with pytest.raises(StoreUnreachable):
        run(gcs.read("HEAD"))
    run(gcs.close())


def test_the_instance_s_account_overwrites_head_alone_and_deletes_nothing(
    run: Run, strict: StrictGcs, gcs: GcsStore
) -> None:
    """With the permissions it has in the cloud."""
    head = run(gcs.write_new("HEAD", b"1"))
    pack = run(gcs.write_new("packs/1", b"1"))
    strict.objects.restricted = True
    head = run(gcs.swap("HEAD", b"2", head.generation))
    with pytest.raises(AlreadyExists):
        run(gcs.write_new("packs/1", b"2"))
    with pytest.raises(StoreDenied, match="403"):
        run(gcs.swap("packs/1", b"2", pack.generation))
    for name, info in (("packs/1", pack), ("HEAD", head)):
        with pytest.raises(StoreDenied, match="403"):
            run(gcs.delete(name, info.generation))


def test_a_lost_reply_is_resolved_for_an_account_that_may_not_overwrite(
    run: Run, strict: StrictGcs, gcs: GcsStore
) -> None:
    """Its retry is told 403, not 412, and still finds its own bytes."""
    strict.objects.restricted = True
    strict.fail_once(Wire.RESET_AFTER, writes)
    assert run(gcs.write_new("manifests/1", b"mine")).size == 4
    strict.fail_once(Wire.RESET_AFTER, finals)
    assert run(gcs.upload("packs/1", io.BytesIO(b"mine"))).size == 4
    assert run(gcs.upload("packs/1", io.BytesIO(b"mine"))).size == 4


def test_a_delete_whose_reply_is_lost_is_a_success(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """What is gone is gone."""
    info = run(gcs.write_new("packs/1", b"1"))
    strict.fail_once(Wire.RESET_AFTER, lambda asked: asked.method == "DELETE")
    run(gcs.delete("packs/1", info.generation))
    assert strict.objects.stored == {}


def test_an_object_that_vanishes_during_a_download_is_missing(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """Not cut, not empty."""
    run(gcs.upload("pack", io.BytesIO(bytes(MIB))))

    def vanish(asked: Asked) -> Wire | None:
        """Cut the first answer and drop the object before the second."""
        if media(asked) and not any(media(a) for a in strict.asked):
            return Wire.CUT
        strict.objects.stored.clear()
        return None

    strict.plan = vanish
    with pytest.raises(ObjectMissing):
        run(content(gcs, "pack", 0, MIB))


def test_every_outcome_of_a_fault_is_an_error_of_ours(run: Run, strict: StrictGcs) -> None:
    """No traceback of a library reaches the caller, whichever request of whichever verb is lost for good."""
    gcs = GcsStore("backups", "p", emulator_host=strict.url, deadline_seconds=0.2)
    for wire in (Wire.RESET_AFTER, Wire.CUT, Wire.UNAVAILABLE):
        strict.fail_once(wire, anything, times=1000)
        for outcome in run(every_verb(gcs)):
            assert outcome is None or isinstance(outcome, StoreError | IntegrityError), (wire, outcome)
    run(gcs.close())


def test_a_call_that_goes_well_is_one_request(run: Run, strict: StrictGcs, gcs: GcsStore) -> None:
    """HEAD is read every two seconds: nothing is asked besides."""
    info = run(gcs.write_new("HEAD", b"1"))
    run(gcs.read("HEAD"))
    run(gcs.stat("HEAD"))
    run(gcs.swap("HEAD", b"2", info.generation))
    run(gcs.delete("HEAD", strict.objects.stored["p/HEAD"].generation))
    assert [a.method for a in strict.asked] == ["POST", "GET", "GET", "POST", "DELETE"]


def test_a_call_that_hangs_does_not_keep_the_process_from_ending(strict: StrictGcs) -> None:
    """Given up by its caller, whose ten seconds are running, and left behind."""
    strict.fail_once(Wire.SILENCE, anything, times=1000)
    program = (
        "import asyncio\n"
        "from runtime.repository.gcs import GcsStore\n"
        "async def main():\n"
        f"    store = GcsStore('backups', emulator_host={strict.url!r}, deadline_seconds=30)\n"
        "    await store.read('HEAD')\n"
        "try: asyncio.run(asyncio.wait_for(main(), 1))\n"
        "except TimeoutError: print('given up')"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == "given up\n"
    assert time.monotonic() - started < 8
