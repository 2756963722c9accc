"""`sync pull`, whole: a Qdrant elsewhere becomes the newest backup."""

import json
from pathlib import Path

from tests.support.engines import Engine
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    Command,
    alias,
    aliases,
    delete,
    empty,
    everything,
    make_mixed,
    make_plain,
    mixed_point,
    plain_point,
    put,
    statuses,
)
from tests.sync.pulled import restored


def test_a_source_becomes_the_newest_backup_and_each_change_a_newer_one(
    elsewhere: Engine, line: Wire, command: Command, tmp_path: Path
) -> None:
    """First everything, by snapshots that are gone afterwards; then nothing in five requests; then what changed."""
    make_mixed(elsewhere, "mixed", range(50))
    make_plain(elsewhere, "plain", range(20))
    make_plain(elsewhere, "old", range(5))
    alias(elsewhere, "current", "plain")
    planned = command("sync", "pull", "--dry-run", "--json")
    assert {status for status, _ in statuses(planned).values()} == {"planned"}
    assert list((tmp_path / "bucket").iterdir()) == []

    first = command("sync", "pull", "--json")
    assert first.code == 0, first.err
    assert set(statuses(first).values()) == {("done", "snapshot")}
    assert restored(command, tmp_path) == (everything(elsewhere), {"current": "plain"})
    assert all(elsewhere.result("GET", f"/collections/{name}/snapshots") == [] for name in ("mixed", "plain", "old"))

    line.asked.clear()
    again = command("sync", "pull", "--json")
    assert (again.code, again.json["backup"]) == (3, None)
    assert len(line.asked) <= 5
    assert command("sync", "pull", "--unchanged-ok").code == 0

    put(elsewhere, "mixed", [mixed_point(7, seed=3)])
    delete(elsewhere, "mixed", [8])
    elsewhere.result("DELETE", "/collections/old")
    alias(elsewhere, "newest", "mixed")
    second = command("sync", "pull", "--json")
    assert second.code == 0, second.err
    assert statuses(second) == {"mixed": ("done", "snapshot"), "old": ("dropped", ""), "plain": ("unchanged", "")}
    assert restored(command, tmp_path) == (everything(elsewhere), {"current": "plain", "newest": "mixed"})
    assert [path.name for path in (tmp_path / "disk").iterdir()] == []


def test_a_collection_that_was_made_anew_is_not_taken_for_the_old_one(
    elsewhere: Engine, line: Wire, command: Command
) -> None:
    """With as many writes as the old one had, as a nightly job that fills it afresh leaves it."""
    del line
    make_plain(elsewhere, "plain", range(20))
    assert command("sync", "pull").code == 0
    elsewhere.result("DELETE", "/collections/plain")
    elsewhere.result("PUT", "/collections/plain", {"vectors": {"size": 2, "distance": "Dot"}})
    put(elsewhere, "plain", [plain_point(n, 1) for n in range(20)])

    assert command("sync", "pull", "--dry-run", "--json").json["collections"][0]["why"] == "it changed"


def test_several_nodes_behind_one_address_are_copied_point_by_point(
    elsewhere: Engine, line: Wire, command: Command, tmp_path: Path
) -> None:
    """Without a snapshot, within strict mode's limits; a second run reads all and commits nothing that is the same."""
    make_mixed(elsewhere, "mixed", range(150))
    strict = {"enabled": True, "max_query_limit": 7}
    elsewhere.result(
        "PUT", "/collections/plain", {"vectors": {"size": 2, "distance": "Dot"}, "strict_mode_config": strict}
    )
    put(elsewhere, "plain", [plain_point(n) for n in range(30)])
    two = json.dumps({"result": {"status": "enabled", "peers": {"1": {}, "2": {}}}, "status": "ok", "time": 0.0})

    def plan(asked: Asked) -> Fault | None:
        is_strict = asked.is_("POST", "plain/points/scroll") and json.loads(asked.body)["limit"] > 7
        return Fault(status=400) if is_strict else Fault(answer=two.encode()) if asked.path == "/cluster" else None

    line.plan = plan
    first = command("sync", "pull", "--json")
    assert first.code == 0, first.err
    assert set(statuses(first).values()) == {("done", "copy")}
    assert line.count("POST", "/snapshots") == 0
    assert restored(command, tmp_path)[0] == everything(elsewhere)

    assert command("sync", "pull").code == 3
    put(elsewhere, "plain", [plain_point(3, 9)])
    again = command("sync", "pull", "--json")
    assert (again.code, statuses(again)) == (0, {"mixed": ("unchanged", "copy"), "plain": ("done", "copy")})


def test_an_alias_alone_is_a_change(elsewhere: Engine, line: Wire, command: Command, tmp_path: Path) -> None:
    """Both ways: nothing is copied, and both sides have it."""
    make_plain(elsewhere, "plain", range(3))
    assert command("sync", "pull").code == 0
    alias(elsewhere, "current", "plain")
    line.asked.clear()
    ran = command("sync", "pull", "--json")
    assert (ran.code, statuses(ran)) == (0, {"plain": ("unchanged", "")})
    assert line.count("POST", "/snapshots") == 0
    assert restored(command, tmp_path)[1] == {"current": "plain"}

    elsewhere.result("POST", "/collections/aliases", {"actions": [{"delete_alias": {"alias_name": "current"}}]})
    back = command("sync", "push", "--json")
    assert (back.code, statuses(back)) == (0, {"plain": ("unchanged", "")})
    assert aliases(elsewhere) == {"current": "plain"}


def test_pruning_leaves_what_tells_that_both_sides_are_the_same(
    elsewhere: Engine, line: Wire, command: Command
) -> None:
    """The older backup goes with its note; the newest one's stays, and the next pull has nothing to do."""
    make_plain(elsewhere, "plain", range(3))
    assert command("sync", "pull").code == 0
    put(elsewhere, "plain", [plain_point(1, 1)])
    assert command("sync", "pull").code == 0
    keep_one = ("--keep-last", "1", "--keep-hourly", "0", "--keep-daily", "0", "--keep-weekly", "0", "--grace", "0")
    ran = command("prune", *keep_one, "--json", RECOVERY_WINDOW_HOURS="0")
    assert (ran.code, len(ran.json["deleted"]["backups"])) == (0, 1), ran.out
    line.asked.clear()
    assert command("sync", "pull").code == 3
    assert len(line.asked) <= 5


KEY = "the-key-of-the-source-4711"


def test_a_key_is_sent_and_never_told(elsewhere: Engine, line: Wire, command: Command, tmp_path: Path) -> None:
    """Whatever goes well or wrong: not in what is printed, logged, kept in the bucket or left on the disk."""
    make_plain(elsewhere, "plain", range(3))
    keys = {"SOURCE_API_KEY": KEY, "TARGET_API_KEY": KEY, "LOG_LEVEL": "DEBUG"}
    told = ""
    for fault in (Fault(status=401), Fault(before=True), None):
        line.plan = lambda asked, fault=fault: fault if "plain" in asked.path else None  # type: ignore[misc]
        for way in (("pull",), ("push", "--overwrite")):
            ran = command("sync", *way, "--json", **keys)
            told += ran.out + ran.err
    assert {asked.key for asked in line.asked} == {KEY}
    assert "sync.failed" in told
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert KEY not in told
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


def test_what_is_left_when_the_source_lost_everything_stays(elsewhere: Engine, line: Wire, command: Command) -> None:
    """An empty source after a full one is no state to bring here: the last backup stays the newest."""
    del line
    make_plain(elsewhere, "plain", range(10))
    assert command("sync", "pull").code == 0
    empty(elsewhere)

    assert command("sync", "pull").code == 3
    assert command("show", "--json").json["points"] == 10
