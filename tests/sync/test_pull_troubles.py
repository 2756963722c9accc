"""Sources that fail, or are not as expected: told why, and nothing of theirs passes for a backup."""

import json
from pathlib import Path

import pytest

from tests.support.engines import Engine
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    Command,
    make_plain,
    statuses,
)


def test_one_collection_of_many_fails_alone(elsewhere: Engine, line: Wire, command: Command) -> None:
    """The others are committed, the report names it, the exit code is 1; the next run brings it and nothing else."""
    for name in ("a", "b", "c"):
        make_plain(elsewhere, name, range(10))
    line.plan = lambda asked: Fault(status=500) if asked.path.startswith("/collections/b/") else None
    ran = command("sync", "pull", "--json")
    assert ran.code == 1
    assert statuses(ran) == {"a": ("done", "snapshot"), "b": ("failed", ""), "c": ("done", "snapshot")}
    assert command("show", "--json").json["collections"].keys() == {"a", "c"}

    line.plan = lambda _: None
    again = command("sync", "pull", "--json")
    assert (again.code, statuses(again)["b"]) == (0, ("done", "snapshot"))
    assert {status for status, by in statuses(again).values() if not by} == {"unchanged"}
    assert command("show", "--json").json["collections"].keys() == {"a", "b", "c"}


def test_a_snapshot_that_arrives_damaged_is_no_backup(elsewhere: Engine, line: Wire, command: Command) -> None:
    """One flipped bit on the way, in a tar that unpacks all the same: its hash tells, and nothing is committed."""
    make_plain(elsewhere, "plain", range(10))
    line.plan = lambda asked: Fault(flip=True) if asked.method == "GET" and ".snapshot" in asked.path else None
    ran = command("sync", "pull", "--json")

    assert ran.code == 1
    assert "hash is wrong" in ran.json["collections"][0]["why"]
    assert command("list").code == 3
    assert elsewhere.result("GET", "/collections/plain/snapshots") == []


def test_a_snapshot_that_is_cut_goes_on_where_it_was(elsewhere: Engine, line: Wire, command: Command) -> None:
    """The connection ends twice within it; what came is not asked for again."""
    make_plain(elsewhere, "plain", range(10))
    cuts = [5_000, 20_000]

    def plan(asked: Asked) -> Fault | None:
        return Fault(cut=cuts.pop()) if cuts and asked.method == "GET" and ".snapshot" in asked.path else None

    line.plan = plan
    ran = command("sync", "pull", "--json")
    assert (ran.code, statuses(ran)) == (0, {"plain": ("done", "snapshot")})
    assert sum(".snapshot" in one.path and one.method == "GET" for one in line.asked) == 3


REFUSALS: list[tuple[str, Fault, int, str]] = [
    ("/collections", Fault(status=401), 1, "Set SOURCE_API_KEY to a key that may do this"),
    ("/", Fault(answer=b'{"title": "qdrant", "version": "99.1.7"}'), 1, "Use Qdrant v99.1.7 there"),
    ("/", Fault(answer=b"<html>hello</html>"), 1, "does not say which Qdrant it is"),
    ("/collections", Fault(answer=b'{"result": {"collections": []}}'), 3, "holds no collection"),
]


@pytest.mark.parametrize(("path", "fault", "code", "told"), REFUSALS, ids=[told for *_, told in REFUSALS])
def test_a_source_that_cannot_be_pulled_changes_nothing(
    elsewhere: Engine, line: Wire, command: Command, tmp_path: Path, *, path: str, fault: Fault, code: int, told: str
) -> None:
    """A wrong key, a newer version than ours, something else than Qdrant, an empty one: each by what to do about it."""
    make_plain(elsewhere, "plain", range(3))
    line.plan = lambda asked: fault if asked.path == path else None
    ran = command("sync", "pull")

    assert (ran.code, told in ran.err) == (code, True), ran.err
    assert {path.name for path in (tmp_path / "bucket").iterdir()} <= {"sync", ".store"}


def test_a_source_that_is_too_old_for_its_snapshots_is_copied(elsewhere: Engine, line: Wire, command: Command) -> None:
    """Nobody promises that they open: no snapshot is asked for."""
    make_plain(elsewhere, "plain", range(3))
    old = Fault(answer=b'{"title": "qdrant", "version": "1.10.1"}')
    line.plan = lambda asked: old if asked.path == "/" else None
    ran = command("sync", "pull", "--json")
    assert (ran.code, statuses(ran)) == (0, {"plain": ("done", "copy")})
    assert line.count("POST", "/snapshots") == 0


def test_a_collection_that_is_sharded_by_key_is_told_and_the_others_are_pulled(
    elsewhere: Engine, line: Wire, command: Command
) -> None:
    """One node cannot hold it: exit 1, with what to do about it."""
    make_plain(elsewhere, "plain", range(3))
    make_plain(elsewhere, "keyed", range(3))
    told = elsewhere.call("GET", "/collections/keyed").body
    told["result"]["config"]["params"]["sharding_method"] = "custom"
    answer = Fault(answer=json.dumps(told).encode())
    line.plan = lambda asked: answer if asked.is_("GET", "/collections/keyed") else None
    ran = command("sync", "pull", "--json")
    assert (ran.code, statuses(ran)) == (1, {"keyed": ("failed", ""), "plain": ("done", "snapshot")})
    assert "sharded by key" in ran.json["collections"][0]["why"]
    named = command("sync", "pull", "--json", QDRANT_COLLECTION_NAME="plain")
    assert named.code == 3


def test_an_address_that_is_missing_is_a_setting(command: Command) -> None:
    """Exit 2, and the variable's name."""
    ran = command("sync", "pull", SOURCE_URL="")
    assert (ran.code, "SOURCE_URL is missing" in ran.err) == (2, True)
