"""Who asked for the lineage and goes takes the request along: the writer must be able to do without it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.crash_points.handovers import must_take
from tests.crash_points.scenarios import some_backups
from tests.crash_points.stage import Stage, Trap
from tests.support.model_store import Fault, FaultKind
from tests.support.processes import ProcessLoop
from tests.support.virtual_time import run


@dataclass(slots=True)
class NoSwaps(Trap):
    """Lets no change of HEAD through while it is armed."""

    def plan(self, _number: int, verb: str, _name: str) -> Fault | None:
        """Answer the store."""
        if not self.armed or verb != "swap":
            return None
        self.sprung = True
        return Fault(FaultKind.FAIL_BEFORE)


def test_a_hand_over_that_was_begun_is_ended_when_the_one_that_asked_has_gone(tmp_path: Path) -> None:
    """Its last commit failed, and nobody asks any more: the writer lets go, and takes the next write as its own."""

    async def story() -> None:
        """Ask, let the last commit fail, go away."""
        trap = NoSwaps()
        stage = Stage(tmp_path, trap)
        await some_backups(stage)
        first, second = stage.machine(trapped=True), stage.machine()
        await first.boot()
        await first.put("books", "w1", "written")
        async with first.watching():
            trap.armed = True
            starting = asyncio.create_task(second.boot())
            while not trap.sprung:
                await asyncio.sleep(0.05)
            assert first.instance.lineage.is_yielding
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await second.finish()
            trap.armed = False
            await must_take(first, "books", "w2")
        assert {"w1", "w2"} <= {path.rpartition("/")[2] for path in first.engine.state()}

    run(story(), ProcessLoop())
