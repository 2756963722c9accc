"""Killed at any moment: with the journal nothing is lost; without, no more than promised, and never half a write."""

import datetime as dt
import os
import random
import time

import pytest

from tests.support.history import linear_history
from tests.support.instances import Fleet, Instance, eventually
from tests.support.load import REGISTER, Load
from tests.support.oracle import Oracle
from tests.support.workload import make, points_of

CYCLES = int(os.environ.get("SOAK_CYCLES", "5"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
# On a machine that does other things too.
_START_SECONDS = 180.0
SETTINGS = {"DURABILITY": "snapshot", "BACKUP_QUIET_SECONDS": "0.1", "BACKUP_MAX_AGE_SECONDS": "0.4"}


@pytest.mark.timeout(120 + 60 * CYCLES)
def test_a_kill_at_any_moment_loses_nothing(fleet: Fleet) -> None:
    """By REST and gRPC at once: no acknowledged write is lost, no delete undone, one point's writes stay in order."""
    chance = random.Random(SEED)
    settings = {"BACKUP_QUIET_SECONDS": "0.3", "BACKUP_MAX_AGE_SECONDS": "2"}
    instance = fleet.start(**settings)
    make(instance, "soak")
    oracle = Oracle(instance, "soak", seed=SEED)
    for cycle in range(CYCLES):
        oracle.resume(instance)
        with oracle:
            oracle.wait_for(1, 60)
            time.sleep(chance.uniform(0, 2))  # any moment will do, that is the point
            instance.kill()
        instance = fleet.start(role=None, **settings).wait_for("writer", _START_SECONDS)
        try:
            oracle.judge(points_of(instance, "soak"))
        except AssertionError as error:
            raise AssertionError(f"cycle {cycle} (SOAK_SEED={SEED}): {error}") from error
    manifests = linear_history(instance.settings)
    print(f"{CYCLES} kills, {oracle.acknowledged} writes, {len(manifests)} backups; lost: 0")  # noqa: T201 - the figure


@pytest.mark.timeout(120 + 30 * CYCLES)
def test_a_kill_at_any_moment_loses_nothing_that_a_backup_was_to_hold(fleet: Fleet) -> None:
    """After each kill the state is a prefix of the acknowledged writes, at least up to the last but one commit."""
    chance = random.Random(SEED)
    instance = fleet.start(**SETTINGS)
    make(instance, "soak")
    instance.save()
    held = 0
    lost = []
    for cycle in range(CYCLES):
        with Load(instance, "soak", first=held + 1) as load:
            eventually(load.has_any, 10, "a write is acknowledged")
            time.sleep(chance.uniform(0, 1))  # as above
            instance.kill()
        promised = load.acknowledged_before(_last_but_one_commit(instance))
        instance = fleet.start(**SETTINGS)
        held = _held(instance)
        assert promised <= held, f"cycle {cycle} (SOAK_SEED={SEED}): {promised} was promised, {held} is held"
        assert held <= load.last + 1, f"cycle {cycle}: {held} is held, only {load.last} was acknowledged"
        lost.append(load.last - held)
    manifests = linear_history(instance.settings)
    average = sum(lost) / len(lost)
    print(f"{CYCLES} kills, {len(manifests)} backups; writes lost by a kill: {average:.0f}")  # noqa: T201 - the figure


def _held(instance: Instance) -> int:
    """Return up to which number an instance holds the writes; fails unless they are one moment's."""
    points = points_of(instance, "soak")
    register = points.pop(REGISTER, None)
    held = max(points, default=0)
    assert sorted(points) == list(range(1, held + 1)), "there are holes"
    assert all(each["payload"] == {"n": number} for number, each in points.items())
    assert (register["payload"]["n"] if register else 0) == held, "a write is torn"
    return held


def _last_but_one_commit(instance: Instance) -> float:
    """Return when the backup before the newest was committed: the newest took its moment after that."""
    times = [dt.datetime.fromisoformat(entry["time"]).timestamp() for entry in instance.events("backup.committed")]
    return times[-2] if len(times) > 1 else 0.0
