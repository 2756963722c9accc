"""What an instance does while another writes: it keeps its engine near the newest history.

Owns when to go to a newer backup and when to go along with the journal. Never claims: that is `runtime.promotion`'s.
"""

import asyncio

from runtime.errors import RuntimeFailure
from runtime.follower import CannotFollow, Follower
from runtime.lineage import Lineage
from runtime.logs import get_logger
from runtime.replica import Replica
from runtime.repository.head import Head

log = get_logger()


class Standby:
    """One instance's. `alone` is held by whoever moves the engine; `error` says why the journal is not followed."""

    def __init__(
        self, lineage: Lineage, replica: Replica, follower: Follower, *, is_reader: bool, keeps_journal: bool
    ) -> None:
        self.alone = asyncio.Lock()
        self.error: str | None = None
        self._lineage = lineage
        self._replica = replica
        self._follower = follower
        self._is_reader = is_reader
        self._keeps_journal = keeps_journal

    async def step(self, head: Head) -> None:
        """Do in the local engine what the writer's journal holds. Never raises what may pass."""
        try:
            async with self.alone:
                await self._follower.step(head)
        except CannotFollow:
            self._replica.opened_for_writes()  # only a backup leads on: see `place`
        except RuntimeFailure as error:
            if self.error != str(error):
                log.error("follow.failing", message=f"The writer's journal cannot be followed: {error}")  # noqa: TRY400
            self.error = str(error)
        else:
            self.error = None

    def should_place(self, head: Head) -> bool:
        """Tell whether to go to the newest backup: a reader always, a standby when it is not what it serves.

        Nobody writes while HEAD is let go, so there is something better to show: after `rollback`, say. While another
        writes, a standby would only trade one old state for another.
        """
        if self._is_reader or self._replica.placed is None:
            return True
        if self._keeps_journal and self._replica.position is None:
            return True  # it holds what may never have been acknowledged, and can follow once it is at a backup
        return head.clean and head.requested_by is None

    async def place(self, head: Head) -> None:
        """Bring the engine to the newest backup, unless it is there or the journal leads it there.

        Raises IntegrityError, StoreError, EngineError.
        """
        async with self.alone:
            if await self._reaches(head) and self._replica.engine.running:
                return
            await self._replica.place(head)
            await self._replica.start()
            log.info("standby.followed", message="Now at the newest backup", manifest=head.manifest)

    async def _reaches(self, head: Head) -> bool:
        placed = self._replica.placed
        if placed is None or self._replica.position is None:
            return False
        if placed.choice.stands_for(head.manifest) or head.manifest is None:
            return True
        newest = await self._lineage.repository.manifest(head.manifest, head.manifest_sha256)
        return await self._follower.leads_to(newest)
