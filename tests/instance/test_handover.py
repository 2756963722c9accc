"""Two live instances: one writes, the lineage follows the traffic, and nothing acknowledged is lost on the way."""

import signal

import pytest

from tests.support.history import head, linear_history
from tests.support.instances import Fleet, Instance, eventually
from tests.support.load import REGISTER, Load
from tests.support.workload import make, numbers, put_numbers, shown

HANDOVERS = 10
# Long enough that no hand-over here can be a claim by time-out.
PATIENT = {"HANDOVER_TIMEOUT_SECONDS": "30", "HANDOVER_IDLE_SECONDS": "1", "BACKUP_MAX_AGE_SECONDS": "60"}


def write(instance: Instance, number: int) -> int:
    """Send one write; return the answer's status."""
    body = {"points": [{"id": number, "vector": [1, 1]}]}
    return instance.ask("PUT", "/collections/c/points?wait=true", body).status_code


@pytest.mark.timeout(180)
def test_ten_hand_overs_under_load_lose_nothing(fleet: Fleet) -> None:
    """Five newcomers and five moves of the traffic back and forth: every acknowledged write is held by the last."""
    previous = current = fleet.start(**PATIENT)
    make(current, "c")
    gaps = []
    with Load(current, "c") as load:
        for turn in range(HANDOVERS):
            eventually(load.has_any, 10, "a write is acknowledged")
            since = load.acknowledged[-1].at
            following = previous if turn % 2 else fleet.start(**PATIENT)
            load.target = following
            load.wait_until_taken_by(following, 20)
            gaps.append(load.longest_gap(since))
            current.wait_for("standby")
            if turn % 2:
                assert current.terminate()[0] == 0
            previous, current = current, following
    held = numbers(current, "c") - {REGISTER}
    assert {each.number for each in load.acknowledged} <= held
    assert held <= set(range(1, load.last + 2))
    linear_history(current.settings)
    assert head(current.settings).epoch > HANDOVERS
    assert not any(instance.events("writer.fenced") for instance in fleet.instances)
    print("write pauses of hand-overs (s):", " ".join(f"{gap:.2f}" for gap in gaps))  # noqa: T201 - the figure


def test_the_old_writer_serves_reads_and_takes_over_again_for_writes(fleet: Fleet) -> None:
    """A standby answers reads as of the hand-over; a rollback is writes sent to it."""
    settings = {**PATIENT, "HANDOVER_IDLE_SECONDS": "0"}
    first = fleet.start(**settings)
    make(first, "c")
    put_numbers(first, "c", range(1, 11))
    second = fleet.start(**settings)
    first.wait_for("standby")
    assert numbers(first, "c") == numbers(second, "c") == set(range(1, 11))
    put_numbers(second, "c", range(11, 21))
    assert numbers(first, "c") == set(range(1, 11))
    eventually(lambda: write(first, 21) == 200, 20, "the old one writes again")
    assert numbers(first, "c") == set(range(1, 22))
    second.wait_for("standby")
    linear_history(first.settings)


def test_a_busy_writer_keeps_the_lineage_from_a_standby_with_writes(fleet: Fleet) -> None:
    """The standby refuses the write with 503 and a reason; two busy instances do not take turns."""
    settings = {**PATIENT, "HANDOVER_IDLE_SECONDS": "5"}
    first = fleet.start(**settings)
    make(first, "c")
    second = fleet.start(**settings)
    first.wait_for("standby")
    with Load(second, "c") as load:
        eventually(lambda: load.last, 10, "a write is acknowledged")
        answer = first.ask("PUT", "/collections/c/points?wait=true", {"points": [{"id": 9999, "vector": [1, 1]}]})
    assert answer.status_code == 503
    assert "another instance writes" in answer.json()["status"]["error"]
    assert int(answer.headers["retry-after"]) >= 1
    assert second.has("writer")
    assert 9999 not in numbers(second, "c") | numbers(first, "c")


def test_of_two_newcomers_at_once_one_writes(fleet: Fleet) -> None:
    """Both come up, one as writer, the other standing by; a write acknowledged by either is in the history."""
    first = fleet.start(**PATIENT)
    make(first, "c")
    put_numbers(first, "c", range(1, 11))
    newcomers = [fleet.start(role=None, **PATIENT) for _ in range(2)]
    eventually(lambda: sorted(_role(each) for each in newcomers) == ["standby", "writer"], 30, "one writes")
    first.wait_for("standby")
    writer = next(each for each in newcomers if each.has("writer"))
    put_numbers(writer, "c", range(11, 21))
    assert numbers(writer, "c") == set(range(1, 21))
    linear_history(first.settings)


def test_a_frozen_writer_acknowledges_nothing_after_it_thaws(fleet: Fleet) -> None:
    """A newcomer claims after the time-out; the thawed one refuses, says it is fenced, and counts what was lost."""
    settings = {
        "DURABILITY": "snapshot",
        "BACKUP_QUIET_SECONDS": "60",
        "BACKUP_MAX_AGE_SECONDS": "60",
        "HANDOVER_IDLE_SECONDS": "60",
    }
    first = fleet.start(**settings)
    make(first, "c")
    put_numbers(first, "c", range(1, 11))
    first.save()
    assert write(first, 11) == 200
    first.signal(signal.SIGSTOP)
    second = fleet.start(**settings)
    assert second.health()["restore"]["forced"] is True
    put_numbers(second, "c", range(100, 110))
    with Load(first, "c", first=1000) as load:
        first.signal(signal.SIGCONT)
        eventually(lambda: len(load.refused) > 5, 20, "the thawed one refuses")
        put_numbers(second, "c", range(110, 120))
    assert load.acknowledged == []
    health = eventually(lambda: first.health() if first.health()["fenced"] else None, 5, "it says that it is fenced")
    assert health["role"] == "standby"
    assert health["lost_writes"] == 1
    assert first.events("writer.fenced")[0]["lost"] == 1
    assert numbers(second, "c") == {*range(1, 11), *range(100, 120)}
    second.save()
    assert head(second.settings).holder == second.health()["instance"]
    linear_history(second.settings)


def test_a_reader_follows_the_newest_backup_and_refuses_writes(fleet: Fleet) -> None:
    """It restores, serves, moves on with each backup, and takes nothing from the writer."""
    writer = fleet.start()
    make(writer, "c")
    put_numbers(writer, "c", range(1, 11))
    writer.save()
    reader = fleet.start(role="standby", INSTANCE_ROLE="reader")
    assert numbers(reader, "c") == set(range(1, 11))
    put_numbers(writer, "c", range(11, 21))
    writer.save()
    eventually(lambda: _read(reader) == set(range(1, 21)), 20, "the reader follows")
    refused = reader.ask("PUT", "/collections/c/points", {"points": [{"id": 99, "vector": [1, 1]}]})
    assert refused.status_code == 503
    assert "not the writer" in refused.json()["status"]["error"]
    assert head(writer.settings).holder == writer.health()["instance"]
    assert writer.has("writer")


def _read(instance: Instance) -> set[int]:
    """Return what it holds; nothing while it is being brought to a newer backup."""
    answer = instance.ask("POST", "/collections/c/points/scroll", {"limit": 1000})
    return {each["id"] for each in answer.json()["result"]["points"]} if answer.status_code == 200 else set()


def _role(instance: Instance) -> str:
    """Return its role, '' while it does not answer."""
    for role in ("writer", "standby"):
        if instance.has(role):
            return role
    return ""


def test_after_a_rollback_the_running_instance_serves_the_older_state_by_itself(fleet: Fleet) -> None:
    """Reads show the backup gone back to within seconds, without a write or a restart; writes go on from it."""
    instance = fleet.start()
    make(instance, "c")
    put_numbers(instance, "c", range(5))
    older = str(instance.save()["backup"])
    put_numbers(instance, "c", range(5, 9))
    instance.save()

    assert fleet.command("rollback", older, "--json").returncode == 0
    eventually(lambda: shown(instance, "c") == set(range(5)), 15, "reads show the older state")
    eventually(lambda: write(instance, 100) == 200, 15, "a write is acknowledged")
    assert numbers(instance, "c") == {*range(5), 100}
