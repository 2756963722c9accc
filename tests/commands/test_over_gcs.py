import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Command, Ran
from tests.support.lineages import environment, three_backups
from tests.support.strict_gcs import StrictGcs, strict_gcs

URL = "gs://backups/some/prefix"
KEEP_ONE = (
    "prune",
    "--keep-last",
    "1",
    "--keep-hourly",
    "0",
    "--keep-daily",
    "0",
    "--keep-weekly",
    "0",
    "--grace",
    "0",
)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[StrictGcs]:
    """Give a strict bucket with three backups in it."""
    with strict_gcs() as server:
        asyncio.run(three_backups(environment(URL, tmp_path / "storage", STORAGE_EMULATOR_HOST=server.url)))
        yield server


@pytest.fixture
def on_gcs(command: Command, strict: StrictGcs) -> Callable[..., Ran]:
    """Give a function that runs a command on that bucket."""

    def run(*arguments: str) -> Ran:
        return command(*arguments, url=URL, STORAGE_EMULATOR_HOST=strict.url)

    return run


def test_every_command_works_on_a_bucket(on_gcs: Callable[..., Ran], strict: StrictGcs) -> None:
    """Verify, export, roll back, prune, repair: one after the other on the same lineage."""
    first = on_gcs("list", "--json").json["backups"][-1]["id"]
    deep = on_gcs("verify", "--deep", "--json")
    assert (deep.code, deep.json["ok"]) == (0, True), deep.err

    exported = on_gcs("export", "books", "--json")
    assert exported.code == 0, exported.err
    name = exported.json["to"].removeprefix("gs://backups/")
    assert hashlib.sha256(strict.objects.stored[name].data).hexdigest() == exported.json["sha256"]

    rolled = on_gcs("rollback", first, "--json")
    assert (rolled.code, rolled.json["backup"]) == (0, "00000002-0000000004"), rolled.err

    pruned = on_gcs(*KEEP_ONE, "--json")
    assert pruned.code == 0, pruned.err
    assert list(pruned.json["kept"].values()) == [["newest", "last"], ["verified"], ["recovery window"]]
    assert on_gcs("verify", "--deep").code == 0

    head = strict.objects.stored.pop("some/prefix/HEAD")
    repaired = on_gcs("repair", "--yes", "--json")
    assert repaired.code == 0, repaired.err
    assert json.loads(strict.objects.stored["some/prefix/HEAD"].data)["manifest"] == json.loads(head.data)["manifest"]


def test_an_account_that_may_not_delete_cannot_prune(on_gcs: Callable[..., Ran], strict: StrictGcs) -> None:
    """Exit 6, the missing right is named, and nothing is gone."""
    strict.objects.restricted = True
    before = set(strict.objects.stored)
    ran = on_gcs(*KEEP_ONE)

    assert ran.code == 6
    assert "storage.objects.delete" in ran.err
    assert set(strict.objects.stored) == before


def test_an_account_that_may_not_delete_can_do_the_rest(on_gcs: Callable[..., Ran], strict: StrictGcs) -> None:
    """It creates, and overwrites HEAD alone: that is enough for verdicts, exports and rollbacks."""
    strict.objects.restricted = True
    first = on_gcs("list", "--json").json["backups"][-1]["id"]

    assert on_gcs("verify", "--deep").code == 0
    assert on_gcs("export", "films").code == 0
    assert on_gcs("rollback", first).code == 0


def test_a_bucket_that_refuses_is_never_an_empty_one(on_gcs: Callable[..., Ran], strict: StrictGcs) -> None:
    """Each command ends with exit 6 where another would be tempted to say that nothing is there."""
    strict.objects.denied = True
    for line in ("verify", "prune", "rollback 00000001-0000000001", "repair --yes", "export books", "adopt 2026/"):
        assert on_gcs(*line.split()).code == 6, line
