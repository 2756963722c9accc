"""`python -m tests.crash_points [--part K/N] [SCENARIO …]`: enumerate the crash points and say what was found.

Without names all scenarios, else those whose names begin so; with `--part` every N-th point of each from the K-th on,
with `--fault` those with this fault.
Exit code 1 when anything broke.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.crash_points.handovers import Newcoming, Promotion, Yielding
from tests.crash_points.journals import (
    JournaledBackup,
    JournaledChange,
    JournaledFinish,
    JournaledOpaque,
    JournaledStart,
    JournaledUnanswered,
    JournaledWrites,
)
from tests.crash_points.maintenance import Adopt, Prune, Repair, RepairDamaged, Rollback
from tests.crash_points.points import operations, play, points
from tests.crash_points.scenarios import (
    Backup,
    Finish,
    FinishUnwritten,
    Increment,
    NothingToSave,
    Scenario,
    ScheduledBackup,
    StartAfterCrash,
    StartFallback,
    StartNew,
    StartRestore,
    WideBackup,
)
from tests.crash_points.stage import FAULTS
from tests.crash_points.successions import (
    JournaledClaim,
    JournaledNewcoming,
    JournaledPromotion,
    JournaledPrune,
    JournaledRollback,
    JournaledYielding,
    JournaledZombie,
)

SCENARIOS: tuple[type[Scenario], ...] = (
    StartNew,
    StartRestore,
    StartAfterCrash,
    StartFallback,
    Backup,
    WideBackup,
    Increment,
    NothingToSave,
    ScheduledBackup,
    Finish,
    FinishUnwritten,
    Yielding,
    Newcoming,
    Promotion,
    Prune,
    Rollback,
    Adopt,
    Repair,
    RepairDamaged,
)
JOURNALED: tuple[type[Scenario], ...] = (
    JournaledWrites,
    JournaledBackup,
    JournaledChange,
    JournaledFinish,
    JournaledClaim,
    JournaledZombie,
    JournaledOpaque,
    JournaledUnanswered,
    JournaledYielding,
    JournaledNewcoming,
    JournaledPromotion,
    JournaledPrune,
    JournaledRollback,
    JournaledStart,
)


def enumerate_points(
    scenario: type[Scenario], folder: Path, part: int, parts: int, fault: str | None
) -> tuple[int, int, list[str]]:
    """Run this part of a scenario's points; return its operations, how many points that were, and what broke."""
    met = operations(scenario, folder)
    mine = [point for point in points(scenario, len(met))[part::parts] if fault in {None, point.fault}]
    broken = []
    for point in mine:
        try:
            play(scenario, point, folder)
        except BaseException:  # noqa: BLE001  a crash that gets this far is one finding more
            again = ", tried again" if point.tries_again else ""
            broken.append(
                f"{scenario.name}: operation {point.operation} ({met[point.operation]}) {point.fault}{again}\n"
                f"{traceback.format_exc()[-1500:]}"
            )
    return len(met), len(mine), broken


def main() -> int:
    """Enumerate; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("scenario", nargs="*")
    arguments = parser.parse_args()
    part, parts = (int(number) for number in arguments.part.split("/"))
    total, failures, began = 0, 0, time.monotonic()
    memory = Path("/dev/shm")  # every point writes a few hundred small files
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for scenario in (*SCENARIOS, *JOURNALED):
            if arguments.scenario and not scenario.name.startswith(tuple(arguments.scenario)):
                continue
            met, ran, broken = enumerate_points(scenario, Path(folder) / "run", part, parts, arguments.fault)
            total, failures = total + ran, failures + len(broken)
            print(f"{scenario.name}: {met} operations, {ran} points, {len(broken)} broken", flush=True)
            print("\n".join(broken[:3]), end="", flush=True)
    print(f"all: {total} points, {failures} broken, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
