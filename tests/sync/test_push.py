"""`sync push`, whole: the newest backup on a Qdrant elsewhere, or why it is not there."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from runtime.cli import main
from tests.support.engines import Engine
from tests.support.lineages import environment, three_backups
from tests.support.strict_gcs import strict_gcs
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    Command,
    alias,
    aliases,
    everything,
    make_mixed,
    make_plain,
    plain_point,
    put,
    statuses,
)
from tests.sync.pulled import begun


@pytest.fixture(scope="module")
def template(beside: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bucket once, with a backup of what the engine beside holds."""
    make_mixed(beside, "mixed", range(250))
    make_plain(beside, "plain", range(20))
    alias(beside, "current", "plain")
    folder = tmp_path_factory.mktemp("template")
    (folder / "bucket").mkdir()
    settings = environment(f"file://{folder}/bucket", folder / "disk" / "storage", SOURCE_URL=beside.url)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        assert main(("sync", "pull", "--json")) == 0
    return folder / "bucket"


@pytest.fixture
def bucket(template: Path, command: Command, tmp_path: Path) -> Path:
    """Give a copy of it to do anything to, where commands look for one."""
    del command
    shutil.copytree(template, tmp_path / "bucket", dirs_exist_ok=True)
    return tmp_path / "bucket"


@pytest.mark.usefixtures("bucket")
def test_the_newest_backup_is_on_the_target_point_by_point(
    elsewhere: Engine, beside: Engine, line: Wire, command: Command
) -> None:
    """A plan first; then everything, compared; then nothing, in five requests; and what is newer there stays."""
    planned = command("sync", "push", "--dry-run", "--json")
    assert set(statuses(planned).values()) == {("planned", "")}
    assert everything(elsewhere) == {}

    ran = command("sync", "push", "--json")
    assert ran.code == 0, ran.err
    assert statuses(ran) == {"mixed": ("done", "copy"), "plain": ("done", "copy")}
    assert (everything(elsewhere), aliases(elsewhere)) == (everything(beside), {"current": "plain"})

    line.asked.clear()
    assert command("sync", "push").code == 3
    assert len(line.asked) <= 5

    put(elsewhere, "plain", [plain_point(3, 9)])
    newer = command("sync", "push")
    assert (newer.code, "the target is newer" in newer.err) == (1, True)
    assert elsewhere.points("plain")[3]["payload"]["v"] == 9
    back = command("sync", "push", "--overwrite", "--json")
    assert (back.code, statuses(back)["plain"]) == (0, ("done", "copy"))
    assert everything(elsewhere) == everything(beside)


@pytest.mark.usefixtures("bucket")
def test_a_target_that_is_not_empty_is_left_alone_unless_told(
    elsewhere: Engine, beside: Engine, line: Wire, command: Command
) -> None:
    """Exit 2 and untouched; with --overwrite made the same, points of its own only deleted when that is told too."""
    del line
    make_plain(elsewhere, "plain", range(15, 30))
    make_plain(elsewhere, "other", range(3))
    before = everything(elsewhere)
    refused = command("sync", "push")
    assert (refused.code, "the target is not empty: it has plain" in refused.err) == (2, True)
    assert everything(elsewhere) == before

    half = command("sync", "push", "--overwrite", "--json")
    assert (half.code, statuses(half)["plain"], statuses(half)["mixed"]) == (1, ("failed", ""), ("done", "copy"))
    assert set(elsewhere.points("plain")) == set(range(30))
    assert aliases(elsewhere) == {}

    whole = command("sync", "push", "--overwrite", "--delete-surplus", "--json")
    assert whole.code == 0, whole.err
    assert everything(elsewhere) == everything(beside) | {"other": before["other"]}


@pytest.mark.usefixtures("bucket")
def test_an_alias_that_means_something_else_there_is_not_taken_away(
    elsewhere: Engine, line: Wire, command: Command
) -> None:
    """The target's own alias of that name is a reason to refuse, too."""
    del line
    make_plain(elsewhere, "other", range(3))
    alias(elsewhere, "current", "other")
    ran = command("sync", "push")

    assert (ran.code, "alias 'current'" in ran.err) == (2, True)
    assert aliases(elsewhere) == {"current": "other"}


REFUSALS: list[tuple[str, Fault, int, str]] = [
    ("/collections", Fault(status=403), 1, "Set TARGET_API_KEY to a key that may do this"),
    ("/", Fault(answer=b'{"title": "qdrant", "version": "1.2.3"}'), 1, "Use Qdrant v1."),
]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(("path", "fault", "code", "told"), REFUSALS, ids=[told for *_, told in REFUSALS])
def test_a_target_that_cannot_take_it_is_not_touched(
    elsewhere: Engine, line: Wire, command: Command, *, path: str, fault: Fault, code: int, told: str
) -> None:
    """A wrong key and an older minor version, which is told with the tag that would fit."""
    line.plan = lambda asked: fault if asked.path == path else None
    ran = command("sync", "push")

    assert (ran.code, told in ran.err) == (code, True), ran.err
    assert everything(elsewhere) == {}


@pytest.mark.usefixtures("line")
def test_without_a_backup_there_is_nothing_to_push(command: Command) -> None:
    """Exit 3."""
    assert command("sync", "push").code == 3


# The requests that change the target: a collection, its two indexes, its points; the other collection, its points.
@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("moment", [1, 2, 3, 5, 8] if "SYNC_KILLS" in os.environ else [2, 5])
def test_a_push_that_is_killed_goes_on(
    elsewhere: Engine, beside: Engine, line: Wire, command: Command, tmp_path: Path, *, moment: int
) -> None:
    """By SIGKILL at a request that changes the target: the next run knows what is half done as its own."""
    process = begun("push", tmp_path, TARGET_URL=line.url)
    left = [moment]

    def plan(asked: Asked, left: list[Any] = left) -> None:
        if asked.method == "PUT":
            left[0] -= 1
            if left[0] == 0:
                process.send_signal(signal.SIGKILL)

    line.plan = plan
    process.wait(60)
    assert left[0] <= 0
    assert everything(elsewhere) != everything(beside)
    line.plan = lambda _: None
    ran = command("sync", "push", "--json")

    assert ran.code == 0, ran.err
    assert everything(elsewhere) == everything(beside)


def test_a_bucket_that_signs_lets_the_target_fetch_snapshots(
    elsewhere: Engine, line: Wire, command: Command, tmp_path: Path
) -> None:
    """Exported to the bucket, recovered there by address, compared point by point; refused by one, it is copied."""
    url = "gs://backups/some/prefix"
    with strict_gcs() as server:
        more = {"STORAGE_EMULATOR_HOST": server.url, "BACKUP_URL": url}
        asyncio.run(three_backups(environment(url, tmp_path / "made" / "storage", STORAGE_EMULATOR_HOST=server.url)))
        refused = "/collections/films/snapshots/recover"
        # A target may tell the address that it was given, in a sentence of its own.
        line.plan = lambda asked: Fault(400, answer=b"no: " + asked.body) if asked.path == refused else None
        ran = command("sync", "push", "--json", **more)

    assert ran.code == 0, ran.err
    assert statuses(ran) == {"books": ("done", "snapshot"), "films": ("done", "copy")}
    (asked,) = (json.loads(asked.body) for asked in line.asked if asked.path == refused)
    address, _, secret = asked["location"].partition("?")
    assert secret
    assert address in ran.err
    assert f"{address}?" not in ran.out + ran.err
    assert {name: len(points) for name, points in everything(elsewhere).items()} == {"books": 30, "films": 5}
    assert aliases(elsewhere) == {"library": "books"}
    assert line.count("PUT", "/snapshots/recover") == 2
