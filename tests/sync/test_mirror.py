"""A collection made the same in two engines, whatever happens on the way."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import EngineError, RuntimeFailure
from runtime.run_sink import Progress
from runtime.sync import schema
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.mirror import Mirror, Sides
from runtime.sync.reading import Pacer
from runtime.sync.remote import Remote
from tests.support.engines import Engine
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import delete, empty, make_mixed, make_plain, mixed_point, plain_point, put

C = "things"


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Give an empty ledger."""
    return Ledger.load(tmp_path, "")


def mirror(
    line: Wire, target: Engine, ledger: Ledger, *, keep: Callable[[Entry], None] | None = None, may_delete: bool = True
) -> Entry:
    """Copy and compare the collection from the wire to an engine, from where the ledger is."""

    async def run() -> Entry:
        """Do it on one loop."""
        source = Remote(line.url, None, what="source", key_name="SOURCE_API_KEY")
        own = Remote(target.url, None, what="scratch engine", key_name="")
        try:
            entry = ledger.entry(C)
            if entry.stage == "new":
                wanted = await schema.read(source, C)
                assert wanted is not None
                await schema.make(own, C, wanted)
                entry.begin("copy")
            await Mirror(
                Sides(source, own, may_delete=may_delete),
                entry,
                keep=keep or ledger.save,
                fingerprint=_nothing,
                progress=Progress(),
                pacer=Pacer(first=7, most=7),
            ).run()
            return entry
        finally:
            await source.close()
            await own.close()

    return asyncio.run(run())


async def _nothing() -> None:
    """Tell no fingerprint."""


def same(one: Engine, other: Engine) -> bool:
    """Whether both hold the same points, by a reading of the test's own."""
    return one.points(C) == other.points(C)


def test_every_kind_of_vector_payload_and_id_arrives_as_it_was(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """Named, float16, byte, multi and sparse vectors, nested payloads, numbers and UUIDs; config and indexes too."""
    empty(beside)
    make_mixed(elsewhere, C, range(60))
    entry = mirror(line, beside, ledger)

    assert (entry.stage, entry.points, entry.reading) == ("done", 60, 1)
    assert same(elsewhere, beside)
    one, other = (engine.result("GET", f"/collections/{C}") for engine in (elsewhere, beside))
    assert one["config"]["params"] == other["config"]["params"]
    assert one["config"]["quantization_config"] == other["config"]["quantization_config"]
    assert {f: s["data_type"] for f, s in one["payload_schema"].items()} == {"city": "keyword", "n": "integer"}
    assert one["payload_schema"] == other["payload_schema"]


def test_an_answer_that_is_cut_anywhere_is_asked_for_again(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """Each request in turn has its answer cut: none at all, its first byte, in the middle. No point is lost."""
    make_plain(elsewhere, C, range(20))
    empty(beside)
    mirror(line, beside, ledger)
    requests, places = len(line.asked), (0, 1, 30)
    for number in range(requests):
        empty(beside)
        ledger.forget(C)
        line.asked.clear()
        cut = places[number % len(places)]
        line.plan = lambda asked, number=number, cut=cut: Fault(cut=cut) if asked.number == number else None  # type: ignore[misc]
        assert mirror(line, beside, ledger).points == 20
        assert same(elsewhere, beside), f"request {number}"
        assert len(line.asked) > requests, "the fault was met"


def test_a_run_killed_at_any_moment_goes_on_without_loss_and_without_a_point_twice(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """Killed at every note in the ledger, by turns before it is kept and after; resumed from what is on the disk."""
    make_plain(elsewhere, C, range(40))
    empty(beside)
    notes = 0

    def count(entry: Entry) -> None:
        nonlocal notes
        notes += 1
        ledger.save(entry)

    mirror(line, beside, ledger, keep=count)
    assert notes > 10
    for moment in range(0, notes, 1 if "SYNC_KILLS" in os.environ else 3):
        empty(beside)
        ledger.forget(C)
        with pytest.raises(Killed):
            mirror(line, beside, ledger, keep=_killing(ledger, moment, is_kept=moment % 2 == 0))
        left = Ledger.load(ledger.folder, "")
        if left.entry(C).stage == "new":
            empty(beside)
        entry = mirror(line, beside, left)
        assert entry.points == 40
        assert same(elsewhere, beside), f"killed at note {moment}"


def _killing(ledger: Ledger, moment: int, *, is_kept: bool) -> Callable[[Entry], None]:
    """Return what keeps entries until the process ends at one of them."""
    left = [moment]

    def keep(entry: Entry) -> None:
        if left[0] == 0:
            if is_kept:
                ledger.save(entry)
            raise Killed
        left[0] -= 1
        ledger.save(entry)

    return keep


@pytest.mark.parametrize("seed", range(3))
def test_a_source_that_is_written_to_meanwhile_ends_up_the_same(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger, seed: int
) -> None:
    """Points changed, added and deleted between any two requests, for a while: what is accepted is the source's end."""
    make_plain(elsewhere, C, range(0, 120, 2))
    empty(beside)
    chance = random.Random(seed)
    writes = 12

    def write(asked: Asked) -> None:
        nonlocal writes
        if writes and asked.path.endswith("/scroll") and chance.random() < 0.6:
            writes -= 1
            put(elsewhere, C, [plain_point(chance.randrange(130), writes + 1)])
            delete(elsewhere, C, [chance.randrange(130)])

    line.plan = write
    entry = mirror(line, beside, ledger)

    assert writes == 0
    assert entry.reading > 1
    assert same(elsewhere, beside)


def test_a_state_that_never_was_is_not_accepted(elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger) -> None:
    """Two points change between their pages being read: holding the old one and the new other is noticed."""
    make_plain(elsewhere, C, range(40))
    empty(beside)
    scrolls = 0

    def write(asked: Asked) -> None:
        nonlocal scrolls
        if asked.path.endswith("/scroll"):
            scrolls += 1
            if scrolls == 3:  # the first page is read, the last one is not
                put(elsewhere, C, [plain_point(0, 9)])
                put(elsewhere, C, [plain_point(39, 9)])

    line.plan = write
    mirror(line, beside, ledger)

    assert [beside.points(C)[n]["payload"]["v"] for n in (0, 39)] == [9, 9]


def test_a_source_that_never_stands_still_is_refused(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """Written to at every request, no reading ends as it began: nothing is called the same, and the error says why."""
    make_plain(elsewhere, C, range(30))
    empty(beside)
    version = 0

    def write(asked: Asked) -> None:
        nonlocal version
        if asked.path.endswith("/scroll"):
            version += 1
            put(elsewhere, C, [plain_point(version % 30, version)])

    line.plan = write
    with pytest.raises(EngineError, match="not the same at both ends after 6 readings"):
        mirror(line, beside, ledger)
    assert ledger.entry(C).stage == "compare"


def test_what_the_source_does_not_have_goes_only_when_told(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """Points that only the target has, also whole pages of them at either end, fail the run or are deleted."""
    make_plain(elsewhere, C, range(100, 120))
    empty(beside)
    make_plain(beside, C, range(160))
    entry = ledger.entry(C)
    entry.begin("compare")
    with pytest.raises(RuntimeFailure, match="holds 140 points of 'things' that the source does not"):
        mirror(line, beside, ledger, may_delete=False)
    assert len(beside.points(C)) == 160

    entry.begin("compare")
    assert mirror(line, beside, ledger).points == 20
    assert same(elsewhere, beside)


def test_points_as_large_as_a_request_may_be_arrive(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """With 25 MB of payload each goes by itself; three are more than is held at once, so fewer are asked for."""
    make_plain(elsewhere, C, range(20))
    many = 3 if "SYNC_KILLS" in os.environ else 1
    for number in range(100, 100 + many):
        put(elsewhere, C, [{**plain_point(number), "payload": {"long": "x" * (25 << 20)}}])
    empty(beside)
    assert mirror(line, beside, ledger).points == 20 + many
    assert same(elsewhere, beside)


def test_an_empty_collection_is_the_same_as_an_empty_one(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """No points is a state too, and surplus over it is found."""
    make_plain(elsewhere, C, range(0))
    empty(beside)
    assert mirror(line, beside, ledger).points == 0

    put(beside, C, [plain_point(1)])
    ledger.entry(C).begin("compare")
    assert mirror(line, beside, ledger).points == 0
    assert beside.points(C) == {}


def test_a_comparison_that_is_broken_would_be_seen(
    elsewhere: Engine, beside: Engine, line: Wire, ledger: Ledger
) -> None:
    """One number in one vector, one in a payload, one missing point: each alone is found and put right."""
    make_mixed(elsewhere, C, range(30))
    empty(beside)
    mirror(line, beside, ledger)
    changed: list[dict[str, Any]] = [mixed_point(4), mixed_point(7), mixed_point(8)]
    changed[0]["vector"]["half"][0] += 0.5
    changed[1]["payload"]["deep"]["list"][1] = 1
    changed[2]["vector"]["words"]["values"][0] = 0.31
    for point in changed:
        put(beside, C, [point])
        ledger.entry(C).begin("compare")
        ledger.entry(C).reading = 1
        assert mirror(line, beside, ledger).reading == 2, point
        assert same(elsewhere, beside)
