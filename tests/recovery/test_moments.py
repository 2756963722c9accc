"""Which moment leads to which state, on records alone: no engine is needed to see the order and the end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from runtime.errors import ConfigError, IntegrityError
from runtime.journal.replay import Replay
from runtime.journal.tail import Tail
from runtime.moment import Moment
from runtime.repository import names
from runtime.repository.journal_object import JournalObject, JournalPosition
from runtime.repository.repository import Repository
from tests.support.manifests import LINEAGE
from tests.support.model_store import ModelStore
from tests.support.past import Applied, Past

T = TypeVar("T")


def minute(past: Past, number: float) -> Moment:
    """Return the moment so many minutes after the beginning."""
    start = past.milliseconds - past.minute * 60_000
    return Moment(at=round(start + number * 60_000))


def before(epoch: int, n: int, index: int) -> Moment:
    """Return the moment before a write."""
    return Moment(before=(JournalPosition(epoch, n), index))


def made(*steps: str) -> Past:
    """Do these steps, a minute each: write, save, claim, opaque."""
    past = Past()
    doing: dict[str, Callable[[], object]] = {
        "write": past.write,
        "save": past.save,
        "claim": past.take_over,
        "opaque": lambda: past.change(saved=True),
    }
    for step in steps:
        past.minute += 1
        doing[step]()
    past.finish()
    return past


def test_each_minute_has_its_state() -> None:
    """Through backups and claims, before the first backup, too."""
    past = made("write", "write", "save", "write", "claim", "write", "save", "write")

    written = [0, 1, 2, 2, 3, 3, 4, 4, 5]
    assert [past.at(minute(past, number)) for number in range(9)] == [past.held[:count] for count in written]
    assert past.at(minute(past, 5.999)) == past.held[:3]


def test_before_a_write_is_all_that_came_before_it() -> None:
    """In its own object, too, and across claims."""
    past = Past()
    past.write(3)
    past.save()
    past.write(2)
    past.take_over()
    past.write()
    past.finish()

    assert past.at(before(1, 0, 0)) == []
    assert past.at(before(1, 0, 2)) == past.held[:2]
    assert past.at(before(1, 1, 1)) == past.held[:4]
    assert past.at(before(2, 0, 0)) == past.held[:5]


def test_before_what_is_missing_nothing_is_missing() -> None:
    """A hole refuses what comes after it, and leads nobody to less; what came before it can be reached."""
    past = made("write", "save", *["write"] * 12)
    del past.bucket.objects[names.journal(1, 5)]

    assert past.from_backup(past.manifests[0]) == "IntegrityError"
    assert past.at(before(1, 5, 0)) == past.held[:5]
    assert past.at(before(1, 9, 0)) == "IntegrityError"
    assert past.at(minute(past, 5.5)) == past.held[:4]


@pytest.mark.parametrize("damage", ["gap", "checksum", "cut", "another place", "another lineage", "another format"])
def test_damage_is_refused_with_its_place_and_the_way_out(damage: str) -> None:
    """And before it everything can be reached."""
    past = made("write", "save", *["write"] * 12)
    name = names.journal(1, 5)
    data = past.bucket.objects.pop(name).data
    found = JournalObject.decode(data, lineage=LINEAGE, position=JournalPosition(1, 5))
    changed = {
        "gap": None,
        "checksum": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "cut": data[:-1],
        "another place": past.bucket.objects[names.journal(1, 6)].data,
        "another lineage": replace(found, lineage="b" * 32).encode(),
        "another format": b"x" + data,
    }[damage]
    if changed is not None:
        past.bucket.put("nobody", "write_new", name, changed, 0)

    assert past.from_backup(past.manifests[0]) == "IntegrityError"
    assert "1/5" in past.said
    assert "rollback --before 1/5/0" in past.said
    assert past.at(before(1, 5, 0)) == past.held[:5]


def test_a_moment_before_an_opaque_change_ends_there() -> None:
    """It was acknowledged with its backup: until then it was not there, from then on the backup is the nearest."""
    past = made("write", "save", "write", "opaque", "write")

    assert past.at(minute(past, 3.5)) == past.held[:2]
    assert past.at(minute(past, 4)) == past.held[:3]
    assert past.at(minute(past, 5)) == past.held
    assert past.from_backup(past.manifests[0]) == "IntegrityError"


def test_an_opaque_change_whose_backup_was_pruned_is_refused() -> None:
    """From the backups that are left nobody can tell when it was acknowledged, or whether."""
    past = made("write", "save", "write", "opaque", "claim", "write", "save")
    del past.bucket.objects[names.manifest(names.backup_id(1, 2))]

    assert past.from_backup(past.manifests[0]) == "IntegrityError"
    assert past.at(minute(past, 4)) == "IntegrityError"
    assert past.at(minute(past, 6)) == "IntegrityError"
    assert past.at(minute(past, 7)) == past.held


def test_an_opaque_change_that_was_never_saved_is_passed_over() -> None:
    """Another writer committed the next number instead: nobody was told that it was done."""
    past = made("write", "save", "write")
    past.change(saved=False)
    past.take_over()
    past.minute += 1
    past.write()
    past.save()
    past.finish()

    assert past.from_backup(past.manifests[0]) == past.held


def test_a_damaged_backup_may_be_the_one_that_holds_an_opaque_change() -> None:
    """Nobody can tell when it was made, so the change is not taken for a later one."""
    past = made("write", "save", "write", "opaque", "write", "save")
    name = names.manifest(names.backup_id(1, 2))
    past.bucket.objects[name].data = b"{"

    assert past.at(minute(past, 5)) == "IntegrityError"


def test_an_epoch_without_a_seal_before_others_is_refused() -> None:
    """Nobody opens an epoch before the one before it is sealed: what is unsealed was not wholly read."""
    past = made("write", "save", "write", "claim", "write")
    del past.bucket.objects[names.journal(1, 2)]

    assert past.from_backup(past.manifests[0]) == "IntegrityError"


def during(past: Past, listing: int, change: Callable[[], None]) -> Repository:
    """Return a repository in which something happens just before the n-th listing."""
    listed = 0

    class Changing(ModelStore):
        """Counts listings."""

        async def _operation(self, verb: str, name: str, effect: Callable[[], T]) -> T:
            """Do the other thing first."""
            nonlocal listed
            if verb == "list":
                listed += 1
                if listed == listing:
                    change()
            return await super()._operation(verb, name, effect)

    return Repository(Changing(past.bucket))


async def all_of(repository: Repository, read: Callable[[Tail], Awaitable[list[JournalObject]]]) -> int:
    """Return how many objects a reader gets."""
    return len(await read(Tail(repository, LINEAGE, "reader")))


async def _sealed(tail: Tail) -> list[JournalObject]:
    """Read and seal."""
    return [found async for found in tail.sealed(JournalPosition(1, -1))]


async def _read(tail: Tail) -> list[JournalObject]:
    """Read alone."""
    return [found async for found in tail.read(JournalPosition(1, -1))]


@pytest.mark.parametrize("read", [_sealed, _read])
def test_a_writer_that_goes_on_makes_no_hole(read: Callable[[Tail], Awaitable[list[JournalObject]]]) -> None:
    """What it puts between two looks is no proof that something was missing before it."""
    past = made("write", "write")

    def go_on() -> None:
        """Write more than are ever under way."""
        for _ in range(8):
            past.write()

    found = asyncio.run(all_of(during(past, 2, go_on), read))
    assert found == (10 if read is _sealed else 2)


def test_an_epoch_that_is_sealed_while_it_is_read_is_read_to_its_seal() -> None:
    """Its last writes come before the first ones of the next epoch."""
    past = made("write", "save", "write")

    def go_on() -> None:
        """Write, and be taken over from."""
        past.write()
        past.take_over()
        past.write()

    engine = Applied()
    # The second listing is the one that looks for a hole, the third asks whether later epochs have begun.
    replay = Replay(during(past, 3, go_on), LINEAGE, "reader", sender=engine.sender, note=lambda _: None)

    async def read_twice() -> None:
        """Read, and once more with HEAD as it is then."""
        await replay.read(past.manifests[0], past.head)
        await replay.read(past.manifests[0], past.head)

    asyncio.run(read_twice())
    assert past.contents[1] + engine.bodies == past.held


@pytest.mark.parametrize("text", ["yesterday", "2026-11-26", "2026-11-26T21:30:00", "10m", ""])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    """Nobody knows which hour is meant."""
    with pytest.raises(ConfigError, match="zone"):
        Moment.parse(text, None)


@pytest.mark.parametrize("text", ["3", "3/17", "a/b/c", "3/17/0/1", "-1/0/0"])
def test_a_write_is_called_by_its_whole_name(text: str) -> None:
    """Epoch, object, record."""
    with pytest.raises(ConfigError, match="no write"):
        Moment.parse(None, text)


def test_times_are_read_and_written_alike() -> None:
    """To the millisecond, in any zone."""
    moment = Moment.parse("2026-11-26T22:30:00.250+01:00", None)

    assert str(moment) == "2026-11-26T21:30:00.250+00:00"
    assert Moment.parse(str(moment), None) == moment
    assert str(Moment.parse(None, "3/17/0")) == "before write 3/17/0"


def test_a_journal_that_cannot_be_read_is_closed_all_the_same() -> None:
    """Who thaws finds no place there, though nobody can tell what is in it."""
    past = made("write", "save", *["write"] * 10)
    del past.bucket.objects[names.journal(1, 4)]

    async def close() -> None:
        """Seal behind what there is."""
        tail = Tail(past.repository, LINEAGE, "claimer")
        with pytest.raises(IntegrityError):
            await _sealed(tail)
        await tail.close(1)

    asyncio.run(close())
    assert names.journal(1, past.n) in past.bucket.objects
