import json
from dataclasses import replace

from runtime.repository.journal_object import JournalPosition
from tests.recovery.conftest import QUIET, History, put, remove, scrolled


def started(history: History) -> dict[int, str]:
    """Start an instance; return what it serves, and end it."""
    instance = history.fleet.start(**QUIET)
    try:
        return scrolled(instance)
    finally:
        assert instance.terminate()[0] == 0


def test_a_mistake_is_found_and_undone(history: History) -> None:
    """`journal show` names the write; before it is where a running writer goes on from, and it can be gone back on."""
    fleet = history.fleet
    writer = fleet.start(**QUIET)
    state = dict(history.latest)
    put(writer, state, p1="good")
    right = dict(state)
    remove(writer, state, 1)
    put(writer, state, p50="after")
    shown = history.command("journal", "show", "--collection", "books")["writes"]
    mistake = [entry for entry in shown if "delete" in entry["what"]][-1]
    assert (mistake["count"], mistake["confirmed"]) == (1, True)
    assert "body" not in mistake
    assert "good" not in json.dumps(shown)

    tried = history.command("rollback", "--before", mistake["name"], "--dry-run")
    assert tried["points"]["books"]["then"] == len(right)
    assert tried["backup"] is None
    assert writer.health()["role"] == "writer"
    done = history.command("rollback", "--before", mistake["name"])
    newest = history.command("show")
    assert (newest["id"], newest["reason"]) == (done["backup"], "rollback")
    assert newest["collections"]["books"]["points"] == len(right)

    put(writer, right, p60="goes on")
    assert scrolled(writer) == right
    writer.kill()
    assert history.restored() == right
    assert history.restored("--at", max(entry["time"] for entry in shown if entry["time"])) == state


def test_a_moment_before_a_kill_becomes_the_newest_backup(history: History) -> None:
    """What follows it is not done again by the next start; `list` tells what can be reached."""
    reachable = history.command("list")["reachable"]
    assert reachable["from"] < history.states[3][0] < reachable["to"]
    time, state = history.states[-3]
    assert history.command("rollback", "--at", time)["points"]["books"]["then"] == len(state)

    assert started(history) == state
    code, said = history.refusal("rollback", "--at", "2020-01-01T00:00:00Z")
    assert (code, "before everything" in said) in {(3, True), (3, False)}


def last_records(history: History) -> JournalPosition:
    """Return the position of the last object with records."""
    return next(at for at in reversed(history.objects()) if history.read(at).kind == "records")


def test_a_journal_with_a_hole_is_refused_and_can_be_left_behind(history: History) -> None:
    """The start names the object; before it is a way out that keeps everything up to there."""
    last = last_records(history)
    at = JournalPosition(last.epoch, last.n - 1)
    seal = replace(history.read(at), kind="seal", position=JournalPosition(last.epoch, last.n + 1), records=())
    history.path(at).unlink()
    history.path(seal.position).write_bytes(seal.encode())

    refused = history.fleet.start(role=None, **QUIET)
    assert refused.ended() == 4
    said = refused.events("start.failed")[-1]["message"]
    assert f"{at.epoch}/{at.n}" in said
    assert f"rollback --before {at.epoch}/{at.n}/0" in said
    assert history.refusal("restore", str(history.fleet.folder / "target"))[0] == 4

    history.command("rollback", "--before", f"{at.epoch}/{at.n}/0")
    assert started(history) == history.states[-3][1]


def test_a_record_that_qdrant_refuses_is_refused_and_can_be_skipped(history: History) -> None:
    """The start names the record; without it the rest is done, and the new backup tells what it lacks."""
    at = last_records(history)
    found = history.read(at)
    record = replace(found.records[0], body=b'{"points": [{"id": 1, "vector": [1.0]}]}')
    history.path(at).write_bytes(replace(found, records=(record,)).encode())
    name = f"{at.epoch}/{at.n}/0"

    refused = history.fleet.start(role=None, **QUIET)
    assert refused.ended() == 4
    assert name in refused.events("start.failed")[-1]["message"]
    target = history.fleet.folder / "target"
    code, said = history.refusal("restore", str(target))
    assert (code, name in said, list(target.iterdir())) == (4, True, [])
    assert history.restored("--skip", name) == history.states[-2][1]
    assert history.refusal("rollback", "--skip", name, "--skip", "1/0/0")[0] == 3

    history.command("rollback", "--skip", name)
    assert history.command("show")["skipped"] == [f"journal {name}"]
    assert started(history) == history.states[-2][1]
