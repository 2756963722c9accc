"""`sync pull`, whole: a Qdrant elsewhere becomes the newest backup, or is told why not."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.contract import SYNC_LEASE_OBJECT
from tests.support.engines import Engine, running
from tests.support.lineages import environment
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    ENGINE,
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
    refusing_snapshots,
    statuses,
)

# `make sync-kills` has more of them.
KILLS = int(os.environ.get("SYNC_KILLS", "1"))

Points = dict[str, dict[int | str, Any]]


def restored(command: Command, tmp_path: Path) -> tuple[Points, dict[str, str]]:
    """Return what the newest backup holds, as an engine serves it."""
    number = len(list(tmp_path.glob("restored-*")))
    folder = tmp_path / f"restored-{number}"
    assert command("restore", str(folder / "storage")).code == 0
    with running(ENGINE, folder) as engine:
        return everything(engine), aliases(engine)


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


def test_an_address_that_is_missing_is_a_setting(command: Command) -> None:
    """Exit 2, and the variable's name."""
    ran = command("sync", "pull", SOURCE_URL="")
    assert (ran.code, "SOURCE_URL is missing" in ran.err) == (2, True)


def test_a_pull_that_is_killed_goes_on(elsewhere: Engine, line: Wire, command: Command, tmp_path: Path) -> None:
    """By SIGKILL while a random page is read: the next run waits for the lease to expire and goes on from that page."""
    make_mixed(elsewhere, "mixed", range(900))
    refusing_snapshots(line)
    chance = random.Random(os.environ.get("SYNC_SEED", "7"))
    for moment in chance.choices(range(1, 4), k=KILLS):
        settings = environment(f"file://{tmp_path}/bucket", tmp_path / "disk" / "storage", SOURCE_URL=line.url)
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime", "sync", "pull"],
            env={**settings, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        scrolls = [moment]

        def plan(asked: Asked, process: Any = process, scrolls: list[int] = scrolls) -> Fault | None:
            if asked.path.endswith("/scroll"):
                scrolls[0] -= 1
                if scrolls[0] == 0:
                    process.send_signal(signal.SIGKILL)
            return Fault(status=403) if asked.is_("POST", "/snapshots") else None

        line.plan = plan
        process.wait(60)
        if process.returncode == 0:
            break  # there was less left to read than that
    refusing_snapshots(line)
    ran = command("sync", "pull", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["collections"][0]["points"] == 900
    assert restored(command, tmp_path)[0] == everything(elsewhere)


@pytest.mark.parametrize(("number", "left"), [(signal.SIGKILL, 1), (signal.SIGTERM, 0)], ids=["killed", "told to stop"])
def test_a_snapshot_is_not_left_on_the_source_for_good(
    elsewhere: Engine, line: Wire, command: Command, tmp_path: Path, *, number: signal.Signals, left: int
) -> None:
    """Ended while one is on its way: told to stop it is deleted at once, after a kill the next run does it."""
    make_plain(elsewhere, "plain", range(10))
    settings = environment(f"file://{tmp_path}/bucket", tmp_path / "disk" / "storage", SOURCE_URL=line.url)
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime", "sync", "pull"],
        env={**settings, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def plan(asked: Asked) -> None:
        if asked.method == "GET" and ".snapshot" in asked.path:
            process.send_signal(number)
            process.wait(60)

    line.plan = plan
    assert process.wait(60) != 0
    assert len(elsewhere.result("GET", "/collections/plain/snapshots")) == left
    line.plan = lambda _: None
    assert command("sync", "pull").code == 0
    assert elsewhere.result("GET", "/collections/plain/snapshots") == []


def test_a_second_run_beside_the_first_is_refused(elsewhere: Engine, line: Wire, command: Command) -> None:
    """While one is at work, another ends with exit 1 and changes nothing."""
    make_plain(elsewhere, "plain", range(10))
    inner: list[Any] = []

    def plan(asked: Asked) -> None:
        if asked.is_("POST", "/snapshots"):
            settings = {name: os.environ[name] for name in ("BACKUP_URL", "SOURCE_URL", "QDRANT_BIN", "PATH")}
            settings |= {"HANDOVER_TIMEOUT_SECONDS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
            other = subprocess.run(
                [sys.executable, "-m", "runtime", "sync", "pull"],
                env=settings,
                capture_output=True,
                text=True,
                check=False,
            )
            inner.append((other.returncode, "another sync is at work" in other.stderr))

    line.plan = plan
    assert command("sync", "pull").code == 0
    assert inner == [(1, True)]
    assert SYNC_LEASE_OBJECT == "sync/LEASE"


def test_what_is_left_when_the_source_lost_everything_stays(elsewhere: Engine, line: Wire, command: Command) -> None:
    """An empty source after a full one is no state to bring here: the last backup stays the newest."""
    del line
    make_plain(elsewhere, "plain", range(10))
    assert command("sync", "pull").code == 0
    empty(elsewhere)

    assert command("sync", "pull").code == 3
    assert command("show", "--json").json["points"] == 10
