"""A crash or a fault at every store operation of everything that changes the repository.

`CRASH_POINTS=all` takes every point where a journal is kept, too; without it, some of them.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.crash_points.__main__ import JOURNALED, SCENARIOS
from tests.crash_points.scenarios import Scenario
from tests.crash_points.stage import FAULTS
from tests.support.model_store import FaultKind

ALL = os.environ.get("CRASH_POINTS") == "all"
ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
# Of so many parts each worker takes one: no number of faults, so that over the operations each fault has its turn.
PARTS = WORKERS if ALL else 25

pytestmark = pytest.mark.timeout(3600 if ALL else 900)


def enumerated(scenarios: Iterable[type[Scenario]], parts: int, capsys: pytest.CaptureFixture[str]) -> int:
    """Enumerate these scenarios' points, or some parts of them; fail if any broke, and return how many that were."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.crash_points", *(scenario.name for scenario in scenarios), "--part"]
    workers = [
        subprocess.Popen(
            [*command, f"{part}/{parts}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for part in range(WORKERS)
    ]
    said = [worker.communicate()[0] for worker in workers]
    with capsys.disabled():
        sys.stdout.write("\n")
        for scenario in scenarios:
            pattern = rf"{re.escape(scenario.name)}: (\d+) operations, (\d+) points"
            found = [match for text in said if (match := re.search(pattern, text))]
            counts = found[0][1] if found else "?", sum(int(match[2]) for match in found)
            sys.stdout.write(f"{scenario.name}: {counts[0]} operations, {counts[1]} points\n")
        total = sum(int(match[1]) for text in said if (match := re.search(r"all: (\d+) points", text)))
        sys.stdout.write(f"crash points: {total} enumerated in {time.monotonic() - began:.0f} s\n")
    assert [worker.returncode for worker in workers] == [0] * WORKERS, "\n".join(said)[-6000:]
    return total


def test_every_operation_survives_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh process restores exactly the old or the new committed state, whatever was interrupted where."""
    assert enumerated(SCENARIOS, WORKERS, capsys) > 2000


def test_with_a_journal_no_fault_loses_an_acknowledged_write(capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh process holds all that was acknowledged, nothing undone is back, and the oldest backup leads there."""
    assert enumerated(JOURNALED, PARTS, capsys) > (2000 if ALL else 200)


def test_the_faults_are_all_there_are() -> None:
    """Every kind of fault that the model store knows is among those that are enumerated."""
    assert {fault.kind for fault in FAULTS.values()} == set(FaultKind)
