"""What a bucket that refuses, is not there or says nothing is called, and within which time."""

import asyncio
import io
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

import pytest

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    StoreDenied,
    StoreError,
    StoreUnreachable,
)
from runtime.repository.gcs import GcsStore
from tests.repository.conftest import Run
from tests.repository.faults import (
    SECONDS,
    anything,
    finals,
    writes,
)
from tests.support.sources import Collected
from tests.support.strict_gcs import StrictGcs, Wire

REPOSITORY = Path(__file__).parents[2]


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
