"""Reads from a bucket whose network fails: exactly the bytes that are there, or an error."""

import io
import os

import pytest

from runtime.errors import (
    IntegrityError,
    ObjectMissing,
)
from runtime.repository.gcs import GcsStore
from tests.repository.conftest import Run
from tests.repository.faults import media
from tests.repository.stores import MIB, content
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked


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
