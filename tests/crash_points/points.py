"""Every operation of a scenario times every fault: each a run of its own, then the checks."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tests.crash_points.scenarios import Scenario
from tests.crash_points.stage import FAULTS, Broken, Stage, Trap, survivable
from tests.support.model_store import Crash
from tests.support.processes import ProcessLoop
from tests.support.virtual_time import run


@dataclass(frozen=True, slots=True)
class Point:
    """One run: which operation met which fault, and whether the process tried again."""

    operation: int
    fault: str
    tries_again: bool


def operations(scenario: type[Scenario], folder: Path) -> list[str]:
    """Run a scenario without a fault; return the store operations it came to."""
    trap = Trap()
    _play(scenario, folder, trap, tries_again=False)
    return trap.seen


def points(scenario: type[Scenario], count: int) -> list[Point]:
    """Return every pair of operation and fault; where a process can try again, both ways."""
    return [
        Point(operation, fault, tries_again)
        for operation in range(count)
        for fault in FAULTS
        for tries_again in ((False, True) if scenario.retries and not fault.startswith("crash") else (False,))
    ]


def play(scenario: type[Scenario], point: Point, folder: Path) -> None:
    """Run a scenario with one fault and check what is left. Raises Broken, or whatever else went wrong."""
    trap = Trap(point.operation, FAULTS[point.fault])
    _play(scenario, folder, trap, tries_again=point.tries_again)
    if not trap.sprung:
        raise Broken("the operation was never reached: the runs are not the same")


def _play(scenario: type[Scenario], folder: Path, trap: Trap, *, tries_again: bool) -> None:
    """Run it in a loop of its own."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
    )
    loop = ProcessLoop()
    loop.set_exception_handler(_unless_it_crashed)
    run(_run(scenario, folder, trap, tries_again=tries_again), loop)


def _unless_it_crashed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what was left unheard, but for a process's death: nobody hears of that."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


async def _run(scenario: type[Scenario], folder: Path, trap: Trap, *, tries_again: bool) -> None:
    """Prepare, act, maybe act again, and check."""
    stage = Stage(folder, trap)
    try:
        one = scenario(stage)
        await one.prepare()
        trap.armed = True
        done = await _attempt(one)
        trap.armed = False
        if not done and tries_again and not one.subject.store.dead:
            if not await _attempt(one):
                raise Broken("the second attempt failed, without a fault")
            done = True
        stage.done = stage.done or done
        await one.afterwards(done=done)
        await one.check()
    finally:
        with contextlib.suppress(OSError):
            stage.clear()


async def _attempt(one: Scenario) -> bool:
    """Act; False when the fault made it fail in one of the ways it may."""
    try:
        await one.act()
    except BaseException as error:
        if not one.stage.trap.sprung or not survivable(error):
            raise
        return False
    return True
