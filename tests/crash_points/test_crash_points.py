"""A crash or a fault at every store operation of everything that changes the repository."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.crash_points.__main__ import SCENARIOS
from tests.crash_points.stage import FAULTS
from tests.support.model_store import FaultKind

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2


@pytest.mark.timeout(900)
def test_every_operation_survives_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh process restores exactly the old or the new committed state, whatever was interrupted where."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.crash_points", "--part"]
    workers = [
        subprocess.Popen(
            [*command, f"{part}/{WORKERS}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for part in range(WORKERS)
    ]
    said = [worker.communicate()[0] for worker in workers]
    with capsys.disabled():
        sys.stdout.write("\n")
        for scenario in SCENARIOS:
            pattern = rf"{re.escape(scenario.name)}: (\d+) operations, (\d+) points"
            found = [match for text in said if (match := re.search(pattern, text))]
            counts = found[0][1] if found else "?", sum(int(match[2]) for match in found)
            sys.stdout.write(f"{scenario.name}: {counts[0]} operations, {counts[1]} points\n")
        total = sum(int(match[1]) for text in said if (match := re.search(r"all: (\d+) points", text)))
        sys.stdout.write(f"crash points: {total} enumerated in {time.monotonic() - began:.0f} s\n")
    assert [worker.returncode for worker in workers] == [0] * WORKERS, "\n".join(said)[-6000:]
    assert total > 2000


def test_the_faults_are_all_there_are() -> None:
    """Every kind of fault that the model store knows is among those that are enumerated."""
    assert {fault.kind for fault in FAULTS.values()} == set(FaultKind)
