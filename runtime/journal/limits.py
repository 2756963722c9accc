"""Qdrant's limits of a collection, its strict mode, while what they had let through is done again.

Owns lifting them and putting them back. They look at the rate of writes and at counts that Qdrant takes now and then,
so the same writes, done again faster, would be refused.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from runtime.errors import EngineError
from runtime.journal.requests import Call

_POINTS: Final = frozenset({"points", "batch"})

Ask = Callable[[str, str, dict[str, Any] | None], Awaitable[Any]]


class Limits:
    """Those of one engine. `ask` sends method, path and body, and returns the result, None when it is refused."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, bool] = {}  # whether there are any, lifted now

    async def prepare(self, call: Call) -> None:
        """Lift them for writes of points that had been let through, and for nothing else. Raises EngineError."""
        record = call.entries[0].record
        if record.collection is None:
            return
        if record.effect in _POINTS and (record.applied or record.ids):
            await self._lift(record.collection)
        else:
            await self._put_back(record.collection)

    async def put_all_back(self) -> None:
        """Leave every collection as it was. Raises EngineError."""
        for collection in list(self._known):
            await self._put_back(collection)

    async def _lift(self, collection: str) -> None:
        if collection in self._known:
            return
        found = await self._ask("GET", _path(collection), None) or {"config": {}}
        self._known[collection] = bool((found["config"].get("strict_mode_config") or {}).get("enabled"))
        if self._known[collection]:
            await self._switch(collection, on=False)

    async def _put_back(self, collection: str) -> None:
        """Forget it as well: whatever comes next may change it."""
        if self._known.pop(collection, False):
            await self._switch(collection, on=True)

    async def _switch(self, collection: str, *, on: bool) -> None:
        if await self._ask("PATCH", _path(collection), {"strict_mode_config": {"enabled": on}}) is None:
            raise EngineError(f"Qdrant does not switch the strict mode of {collection!r} while the journal is replayed")


def _path(collection: str) -> str:
    return f"/collections/{quote(collection, safe='')}"
