"""Whatever lies in the journal's folder: it is done again whole and in order, or the start says which object it is."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import IntegrityError
from runtime.repository import names
from runtime.repository.journal_object import JournalObject, JournalPosition, Opaque, _frame
from tests.crash_points.clients import point, several
from tests.crash_points.handovers import must_take
from tests.crash_points.scenarios import made, some_backups
from tests.crash_points.stage import Stage, Trap
from tests.support.model_store import StoredObject
from tests.support.processes import ProcessLoop
from tests.support.virtual_time import run

VICTIM = JournalPosition(2, 3)
NAME = names.journal(VICTIM.epoch, VICTIM.n)


async def unsaved(stage: Stage) -> None:
    """Write a lot that no backup holds, and die."""
    await some_backups(stage)
    writer = stage.machine("second")
    await writer.boot()
    await several(writer)
    writer.process.kill()


def play(folder: Path, what: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story over a lineage whose last writer died with everything in the journal."""

    async def story() -> None:
        """Prepare, then tell."""
        stage = Stage(folder, Trap())
        stage.durability = "journal"
        await made(stage, unsaved)
        await what(stage)

    run(story(), ProcessLoop())


def lay(stage: Stage, name: str, data: bytes | None) -> None:
    """Have these bytes there, or nothing, as the bucket itself would: with a checksum that is right."""
    stage.bucket.objects.pop(name, None)
    if data is not None:
        stage.bucket.put("somebody", "write_new", name, data, 0)


def lineage_of(stage: Stage) -> str:
    """Return the lineage that HEAD names."""
    return str(json.loads(stage.bucket.objects[names.HEAD].data)["lineage"])


def found(stage: Stage, position: JournalPosition = VICTIM) -> JournalObject:
    """Read an object as it is."""
    data = stage.bucket.objects[names.journal(position.epoch, position.n)].data
    return JournalObject.decode(data, lineage=lineage_of(stage), position=position)


def with_record(stage: Stage, **fields: Any) -> bytes:
    """Return the victim with something else in its record, and the right checksums."""
    entry = found(stage)
    return replace(entry, records=(replace(entry.records[0], **fields), *entry.records[1:])).encode()


def with_header(stage: Stage, **fields: Any) -> bytes:
    """Return the victim with something else in its header, and the right checksums."""
    data = stage.bucket.objects[NAME].data
    length = int.from_bytes(data[:4])
    header = {**json.loads(data[8 : 8 + length]), **fields}
    return b"".join(_frame(header, b"")) + data[8 + length + 4 :]


def another_place(stage: Stage) -> bytes:
    """Return the bytes of the object that comes next."""
    return stage.bucket.objects[names.journal(VICTIM.epoch, VICTIM.n + 1)].data


def flipped(stage: Stage, at: float) -> bytes:
    """Return the victim with one bit wrong, at that share of its length."""
    data = bytearray(stage.bucket.objects[NAME].data)
    data[int(at * (len(data) - 1))] ^= 4
    return bytes(data)


DAMAGES: dict[str, Callable[[Stage], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "of zeros": lambda stage: bytes(len(stage.bucket.objects[NAME].data)),
    "some text": lambda _: b"<html>It works!</html>",
    "cut": lambda stage: stage.bucket.objects[NAME].data[:-1],
    "cut in its header": lambda stage: stage.bucket.objects[NAME].data[:20],
    "longer": lambda stage: stage.bucket.objects[NAME].data + b"\0",
    "twice": lambda stage: 2 * stage.bucket.objects[NAME].data,
    "a bit of its length": lambda stage: flipped(stage, 0),
    "a bit of its middle": lambda stage: flipped(stage, 0.5),
    "a bit of its checksum": lambda stage: flipped(stage, 1),
    "of another lineage": lambda stage: replace(found(stage), lineage="another").encode(),
    "of another place": another_place,
    "of another epoch": lambda stage: replace(found(stage), position=JournalPosition(1, VICTIM.n)).encode(),
    "of a newer format": lambda stage: with_header(stage, format=2),
    "of a newer kind": lambda stage: with_header(stage, kind="checkpoint"),
    "with fewer records than it says": lambda stage: with_header(stage, records=2),
    "with more records than it says": lambda stage: with_header(stage, records=0),
    "a seal": lambda stage: replace(found(stage), kind="seal", records=()).encode(),
    "a seal that holds records": lambda stage: replace(found(stage), kind="seal").encode(),
    "a change over another backup": lambda stage: replace(
        found(stage), kind="opaque", records=(), opaque=Opaque("something", 1, exact=True)
    ).encode(),
    "a record with a newer effect": lambda stage: with_record(stage, effect="vacuum"),
    "a record by another way": lambda stage: with_record(stage, transport="udp"),
    "a record in another turn": lambda stage: with_record(stage, turn="whenever"),
    "a record that goes elsewhere": lambda stage: with_record(stage, path="@elsewhere/collections"),
    "a record of no time": lambda stage: with_record(stage, at=10**30),
    "a record without numbers": lambda stage: with_record(stage, ids=("first",)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_in_a_journal_refuses_the_start_and_is_named(tmp_path: Path, damage: str) -> None:
    """Nothing is lost by it: the lineage is let go, and with the right object all that was acknowledged is there."""

    async def story(stage: Stage) -> None:
        """Damage, start, mend, start."""
        right = stage.bucket.objects[NAME].data
        manifest = stage.bucket.head()
        lay(stage, NAME, DAMAGES[damage](stage))
        for _ in range(2):
            refused = stage.machine()
            with pytest.raises(IntegrityError) as error:
                await refused.boot()
            assert f"{VICTIM.epoch}/{VICTIM.n}" in str(error.value) + (error.value.hint or "")
            refused.process.kill()
            head = stage.bucket.head()
            assert manifest is not None
            assert head is not None
            assert (head["clean"], head["manifest"]) == (True, manifest["manifest"])
        lay(stage, NAME, right)
        mended = stage.machine()
        await mended.boot()
        assert stage.history.wrong(mended.engine.state()) is None

    play(tmp_path, story)


STRAYS = (
    "journal/",
    "journal/00000002/",
    "journal/README.md",
    "journal/00000002/README.md",
    "journal/00000002/0000000003.bak",
    "journal/00000002/0000000003~",
    "journal/00000002/3",
    "journal/00000002/0000000003/0000000004",
    "journal/00000002/000000000\N{ARABIC-INDIC DIGIT THREE}",
    "journal/0000000\N{ARABIC-INDIC DIGIT TWO}/0000000003",
    "journal/2/3",
    "journal/00000000/0000000000",
    "journal/elsewhere/00000002/0000000003",
)


def test_what_is_no_journal_object_is_not_in_the_way(tmp_path: Path) -> None:
    """Files of people and tools, folders, numbers in other digits: none of them is read, and the start is as ever."""

    async def story(stage: Stage) -> None:
        """Leave them there, start, write, die, start."""
        for name in STRAYS:
            there = stage.bucket.objects[NAME]
            stage.bucket.objects[name] = StoredObject(b"not ours", there.generation, "AAAAAA==")
        for number in range(2):
            machine = stage.machine()
            await machine.boot()
            assert stage.history.wrong(machine.engine.state()) is None
            await point(machine, "films", "a1", f"written beside them, {number}")
            machine.process.kill()

    play(tmp_path, story)


def test_an_older_head_that_somebody_brought_back_loses_nothing(tmp_path: Path) -> None:
    """The journal of epochs that it does not know of is done again by those who claim them."""

    async def story(stage: Stage) -> None:
        """Write in a third epoch, bring HEAD of the first back, start until it takes writes, start again."""
        third = stage.machine()
        await third.boot()
        await point(third, "films", "b9", "of the third")
        third.process.kill()
        old = next(head for head in reversed(stage.bucket.heads) if head["epoch"] == 1)
        there = stage.bucket.objects[names.HEAD]
        stage.bucket.put("somebody", "swap", names.HEAD, json.dumps(old).encode(), there.generation)
        machine = stage.machine()
        await machine.boot()
        async with machine.watching():
            await must_take(machine, "films", "y1")
        assert stage.history.wrong(machine.engine.state()) is None
        machine.process.kill()
        again = stage.machine()
        await again.boot()
        assert again.engine.state() == machine.engine.state()

    play(tmp_path, story)


def test_what_lies_in_an_epoch_to_come_is_found_when_it_comes(tmp_path: Path) -> None:
    """A stranger's object there stops the writes of whoever meets it, loudly; nothing is acknowledged over it."""

    async def story(stage: Stage) -> None:
        """Lay one where the next writer's first object goes."""
        next_epoch = json.loads(stage.bucket.objects[names.HEAD].data)["epoch"] + 1
        lay(stage, names.journal(next_epoch, 0), b"of a stranger")
        machine = stage.machine()
        await machine.boot()
        async with machine.watching():
            for _ in range(3):
                await asyncio.sleep(1)
                with pytest.raises(Exception, match=rf"{next_epoch}/0|lineage changed hands|not the writer|take over"):
                    await machine.put("films", "a1", "into nowhere")
        machine.process.kill()
        lay(stage, names.journal(next_epoch, 0), None)
        again = stage.machine()
        await again.boot()
        assert stage.history.wrong(again.engine.state()) is None

    play(tmp_path, story)
