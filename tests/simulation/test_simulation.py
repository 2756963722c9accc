"""Seeded interleavings of the real protocol code, each judged at every step.

`SIMULATION_SEEDS=100000 python -m pytest tests/simulation` runs more, `SIMULATION_FIRST=…` others. A failing seed is
printed with the one command that runs it again, the same way.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.engine import make_layout
from tests.simulation.world import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "10000"))
FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
WORKERS = 2
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(max(600, SEEDS // 5))
def test_no_interleaving_breaks_an_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    """Commits are linear, only the holder commits, nothing acknowledged is lost beyond the promise, in any seed."""
    began = time.monotonic()
    share = -(-SEEDS // WORKERS)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", str(FIRST + number * share), str(share)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(WORKERS)
    ]
    said = [worker.communicate()[0] for worker in workers]
    with capsys.disabled():
        sys.stdout.write(f"\nsimulation: {WORKERS * share} seeds in {time.monotonic() - began:.0f} s\n")
        sys.stdout.writelines(f"{line}\n" for text in said for line in text.splitlines() if " interleavings " in line)
    assert [worker.returncode for worker in workers] == [0] * WORKERS, "\n".join(said)[-6000:]
    assert all("never retrieved" not in text for text in said), "\n".join(said)[-6000:]


def test_a_seed_runs_the_same_way_twice(tmp_path: Path) -> None:
    """Two runs of one seed change the bucket alike, at the same virtual times, so that a failure can be looked at."""
    make_layout(tmp_path)
    for seed in range(20):
        assert simulate(seed, tmp_path) == simulate(seed, tmp_path)


def test_the_seeds_reach_what_the_protocol_is_about(tmp_path: Path) -> None:
    """Among a few hundred seeds are hand-overs, forced claims, commits and losses, so the others say something."""
    make_layout(tmp_path)
    runs = [simulate(seed, tmp_path) for seed in range(200)]
    assert sum(one.handed_over for one in runs) > 200
    assert sum(one.forced for one in runs) > 20
    assert sum(one.commits for one in runs) > 200
    assert sum(one.excused for one in runs) > 5
    assert sum(one.acknowledged for one in runs) > 500
