"""What clients do in these scenarios: they write until it is acknowledged.

Owns the writes and who waits for what. What must come of them is `tests.crash_points.written`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from runtime.edge.effects import Effect
from runtime.edge.gate import Refused
from runtime.errors import RuntimeFailure
from tests.crash_points.machine import Machine
from tests.crash_points.stage import Broken
from tests.support.model_store import Fault, FaultKind

_MOST_TRIES = 60


async def written(machine: Machine, write: Callable[[], Awaitable[None]]) -> None:
    """Write until it is acknowledged, as clients do, within a bound."""
    for _ in range(_MOST_TRIES):
        try:
            await write()
        except (Refused, RuntimeFailure):
            await asyncio.sleep(1)
        else:
            return
    raise Broken(f"{machine.process.name} takes no writes")


async def point(machine: Machine, collection: str, name: str, content: str, shard: int = 0) -> None:
    """Write a point until it is acknowledged."""
    await written(machine, partial(machine.put, collection, name, content, shard))


async def deletion(machine: Machine, collection: str, name: str) -> None:
    """Delete a point until that is acknowledged."""
    arguments = {"collection": collection, "point": name}
    await written(machine, partial(machine.write, Effect.POINTS, collection, "delete", arguments))


async def several(machine: Machine) -> None:
    """Write in every way, some things over and over, some at once."""
    await point(machine, "films", "a1", "one")
    await deletion(machine, "films", "b1")
    same = (point(machine, "songs", "x1", f"of {number}") for number in range(4))
    await asyncio.gather(*same, point(machine, "games", "x1", "beside"))
    await point(machine, "books", "s1", "in the other shard", 1)
    await deletion(machine, "songs", "x1")
    await written(machine, partial(machine.write, Effect.REPLACE, "plays", "drop", {"collection": "plays"}))
    await written(machine, partial(machine.create, "plays"))
    await point(machine, "plays", "c1", "of the new one")
    aliases = {"aliases": {"the last": "films"}}
    await written(machine, partial(machine.write, Effect.CATALOG, None, "alias", aliases))
    await point(machine, "films", "a1", "two")


async def saved(machine: Machine) -> None:
    """Take a backup, if there is a moment for one."""
    await machine.do(machine.instance.writing.save("test", must=True))


async def ended(write: Awaitable[None]) -> None:
    """Wait for a write, whatever becomes of it: the history notes what was acknowledged."""
    try:
        await write
    except BaseException:  # noqa: BLE001  its process may be dead
        return


async def with_a_hole(machine: Machine) -> list[asyncio.Task[None]]:
    """Write three times into three objects, of which the first does not arrive as long as the process stands still.

    However long that is, they are still waited for then.
    """
    last = [0]
    assert machine.instance.recovery.journal is not None
    machine.instance.recovery.journal._patience = 600

    def late(_number: int, verb: str, name: str) -> Fault | None:
        """Let the next object wait."""
        if verb != "write_new" or not name.startswith("journal/"):
            return None
        last[0] += 1
        return Fault(FaultKind.DELAY, 1.0) if last[0] == 1 else None

    machine.store.plan = late
    tasks = []
    for number in range(3):
        writing = machine.put("games", f"h{number}", "beyond a hole")
        tasks.append(asyncio.create_task(ended(writing)))
        await asyncio.sleep(0.1)
    return tasks
