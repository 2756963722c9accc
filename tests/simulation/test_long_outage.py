"""The bucket is gone for an hour, which costs nothing here: what the instance says, takes, keeps and catches up."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.api import view
from runtime.settings import Settings
from tests.simulation.container import settings_for
from tests.simulation.engine import COLLECTIONS, make_layout
from tests.simulation.world import World
from tests.support.processes import ProcessLoop
from tests.support.virtual_time import run

HOUR = 3600.0
BETWEEN_WRITES = 5.0
# As deployed.
SETTINGS = {
    "BACKUP_MAX_AGE_SECONDS": "60",
    "BACKUP_QUIET_SECONDS": "5",
    "HANDOVER_TIMEOUT_SECONDS": "10",
    "HANDOVER_IDLE_SECONDS": "2",
}


async def until(holds: Callable[[], bool], within: float, what: str) -> None:
    """Wait, in virtual time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not holds():
        assert loop.time() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.5)


class Hour:
    """One instance that writes go to, all of it in one loop."""

    def __init__(self, settings: Settings) -> None:
        self.loop = ProcessLoop()
        self.settings = settings
        self.world = World(1, self.loop, settings)
        self.sent = 0

    async def live(self) -> None:
        """Serve, lose the bucket for an hour, have it back, end."""
        self.judge, self.one = self.world.judge, self.world._start(0)
        self.world._weather.clears_up()
        await until(lambda: self.one.gate.refusal is None, 20, "the first start")
        await self.write_for(60, "before")
        await until(self.is_saved, 60, "everything is saved")
        self.judge.calm = False
        self.world._weather.outage_until = self.loop.time() + HOUR
        await self.write_for(600, "during")
        early = self.sizes()
        await self.write_for(HOUR - 660, "during")
        self.look(*(late - then for then, late in zip(early, self.sizes(), strict=True)))
        await asyncio.sleep(61)
        await until(lambda: self.health()["status"] == "ok", 60, "all is well by itself")
        assert self.is_saved()
        await self.write_for(10, "after")
        assert any(write.startswith("after") for write in self.judge.acknowledged)
        await until(self.is_saved, 60, "what came after is saved")
        self.one.end(self.loop.time())
        await asyncio.wait([self.one.life], timeout=20)
        await self.world._restores()
        self.judge.finished()

    def look(self, more_bytes: int, more_tasks: int) -> None:
        """Look at it after most of the hour."""
        facts = self.health()
        assert self.one.reads_pass
        assert facts["status"] == "degraded"
        assert facts["store"]["error"]
        assert more_bytes < 50_000, f"{more_bytes} bytes more after fifty minutes"
        assert more_tasks <= 3, f"{more_tasks} tasks more after fifty minutes"
        sent, unsaved = (HOUR - 60) / BETWEEN_WRITES, facts["backup"]["unsaved_writes"]
        if self.settings.store_outage == "refuse":
            assert "the bucket cannot be asked who writes" in self.one.refused_with
            assert unsaved <= 2, "a look at HEAD is good for five seconds"
            assert facts["writes"]["refused"] >= sent - 2
        else:
            assert sent - 2 <= unsaved <= sent + 2
            assert facts["writes"]["unconfirmed"] >= sent - 2
            assert facts["backup"]["unsaved_seconds"] > HOUR - 120
            assert facts["backup"]["last_error"]
            assert HOUR / 60 < facts["backup"]["failures"] < HOUR / 20, "tried again all the time, after a pause"

    def is_saved(self) -> bool:
        """Whether the bucket holds everything that was acknowledged."""
        return self.health()["backup"]["unsaved_writes"] == 0 and self.judge.acknowledged.keys() <= self.judge.committed

    def health(self) -> dict[str, Any]:
        """Return what /health says."""
        return view.health(self.one.instance, self.settings)[1]

    async def write_for(self, seconds: float, when: str) -> None:
        """Send a write now and then: a dozen names over and over, so that what is written does not grow."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            self.sent += 1
            self.one.write(COLLECTIONS[0], f"{when}-{self.sent % 12}")
            await asyncio.sleep(BETWEEN_WRITES)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes that anything but the tests' own code holds, and the number of tasks."""
        gc.collect()
        taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "*/tests/*")])
        return sum(statistic.size for statistic in taken.statistics("filename")), len(self.one.process.tasks)


@pytest.mark.parametrize("outage", ["refuse", "accept"])
def test_an_hour_without_the_bucket_is_told_survived_and_caught_up(tmp_path: Path, outage: str) -> None:
    """Reads pass, writes are refused or counted, memory stays, the age is told; then everything is saved."""
    make_layout(tmp_path)
    hour = Hour(settings_for(tmp_path, "snapshot", STORE_OUTAGE=outage, **SETTINGS))
    tracemalloc.start()
    try:
        run(hour.live(), hour.loop)
    finally:
        tracemalloc.stop()
