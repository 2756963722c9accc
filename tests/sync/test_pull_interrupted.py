"""Pulls that are killed, told to stop, or meet another."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.contract import SYNC_LEASE_OBJECT
from tests.support.engines import Engine
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    Command,
    everything,
    make_mixed,
    make_plain,
    refusing_snapshots,
)
from tests.sync.pulled import begun, restored

# `make sync-kills` has more of them.
KILLS = int(os.environ.get("SYNC_KILLS", "1"))


def test_a_pull_that_is_killed_goes_on(elsewhere: Engine, line: Wire, command: Command, tmp_path: Path) -> None:
    """By SIGKILL while a random page is read: the next run waits for the lease to expire and goes on from that page."""
    make_mixed(elsewhere, "mixed", range(900))
    refusing_snapshots(line)
    chance = random.Random(os.environ.get("SYNC_SEED", "7"))
    for moment in chance.choices(range(1, 4), k=KILLS):
        process = begun("pull", tmp_path, SOURCE_URL=line.url)
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
    process = begun("pull", tmp_path, SOURCE_URL=line.url)

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
