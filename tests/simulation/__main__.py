"""`python -m tests.simulation [SEED [COUNT]]`: simulate so many seeds from SEED on, and say what happened.

One seed prints what its instances log and what changes in the bucket; a failing one its command. Exit code 1 when any
failed.
"""

import asyncio
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from tests.simulation.engine import make_layout
from tests.simulation.world import Outcome, simulate
from tests.support.processes import OWNER


def main(first: int, count: int) -> int:
    """Simulate; return the exit code."""
    level = logging.INFO if count == 1 else logging.CRITICAL
    structlog.configure(
        processors=[_line], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=True
    )
    began = time.monotonic()
    done: list[Outcome] = []
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        make_layout(Path(folder))
        for seed in range(first, first + count):
            try:
                done.append(simulate(seed, Path(folder)))
            except Exception:  # noqa: BLE001  whatever it is, it belongs to this seed
                failed += 1
                print(f"seed {seed} failed: python -m tests.simulation {seed}\n{traceback.format_exc()}", flush=True)
                if failed == 5:
                    break
    print(
        f"{len(done)} interleavings held, {failed} failed, {time.monotonic() - began:.1f} s:"
        f" {sum(one.acknowledged for one in done)} writes acknowledged,"
        f" {sum(one.commits for one in done)} backups committed,"
        f" {sum(one.handed_over for one in done)} hand-overs,"
        f" {sum(one.forced for one in done)} forced claims,"
        f" {sum(one.excused for one in done)} writes lost to crashes"
    )
    return 1 if failed else 0


def _line(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> str:
    """Say when and where in the simulation a line was logged."""
    owner = OWNER.get()
    return f"{asyncio.get_running_loop().time():9.3f} {owner.name if owner else '':>4} {entry.get('message')}"


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(arguments[0] if arguments else 0, arguments[1] if len(arguments) > 1 else 1))
