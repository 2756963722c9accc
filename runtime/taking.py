"""Taking the lineage over for one commit, by a command that serves nothing.

Owns asking and claiming as a starting instance would, and letting go again. The running writer saves what it has and
stands by; on its next write it takes the lineage back, from what was committed here.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from runtime.clock import suspended_clock
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure, StoreError
from runtime.handover import Turn
from runtime.journal.replay import following
from runtime.journal.tail import Tail
from runtime.lineage import Lineage
from runtime.recovery import newest_readable, say_that_no_journal_tells
from runtime.repository.head import Head
from runtime.repository.repository import Repository, Superseded
from runtime.settings import Settings

# A writer's last commit may take long; somebody else's turn may come first.
_LONGEST_TURN_SECONDS = 300.0


class _NoEngine:
    """A local copy for who needs none: always right."""

    def holds(self, newest: str | None) -> bool:
        del newest
        return True

    async def place(self, head: Head) -> None:
        """Never asked for: see `holds`."""

    async def place_nothing(self) -> None:
        """Never asked for: see `holds`."""

    async def start(self) -> None:
        """Nothing has to run."""


@contextlib.asynccontextmanager
async def taken(
    repository: Repository, settings: Settings, what: str, *, leaves_journal: bool = False
) -> AsyncIterator[Lineage]:
    """Become the writer for the duration of the block, which ends with a clean commit.

    The journals of earlier epochs are sealed. Writes that only they hold make it fail, unless the block `leaves` them
    behind. When the block fails, the lineage is let go as it was found. Raises NotTheWriter, IntegrityError,
    StoreError.
    """
    lineage = _lineage(repository, settings, what)
    timeout = settings.handover_timeout_seconds
    turn = Turn(lineage, _NoEngine(), timeout_seconds=timeout, clock=suspended_clock, restores=True)
    try:
        async with asyncio.timeout(_LONGEST_TURN_SECONDS):
            await turn.take("start")
    except TimeoutError:
        raise NotTheWriter(
            f"the writer did not hand over within {_LONGEST_TURN_SECONDS:.0f} s",
            hint="Look at its /health, then run this again",
        ) from None
    except Superseded:
        raise IntegrityError(f"HEAD in {repository} disappeared", hint="`python -m runtime repair`") from None
    async with _let_go_on_failure(lineage), _signs_of_life(lineage, timeout):
        await _close_journals(repository, lineage, leaves_journal=leaves_journal)
        yield lineage


async def _close_journals(repository: Repository, lineage: Lineage, *, leaves_journal: bool) -> None:
    """Seal what others wrote, and begin an epoch of which only a backup can tell what was done in it."""
    state = lineage.seen
    if state is None or lineage.epoch is None:
        raise NotTheWriter("another instance took the lineage over")
    tail = Tail(repository, state.head.lineage, lineage.instance)
    records = 0
    for start in following(await newest_readable(repository, state.head), state.head):
        try:
            async for found in tail.sealed(start):
                records += len(found.records)
        except IntegrityError:
            if not leaves_journal:
                raise
            await tail.close(start.epoch)
    if records and not leaves_journal:
        raise NotTheWriter(
            f"{records} acknowledged writes are in the journal and in no backup yet",
            hint="Start an instance: it saves them. Then run this again",
        )
    await say_that_no_journal_tells(repository, state.head, lineage.epoch, lineage.instance)


@contextlib.asynccontextmanager
async def begun(repository: Repository, settings: Settings, what: str) -> AsyncIterator[Lineage]:
    """Make a new lineage and be its writer for the duration of the block. Raises as `taken`."""
    lineage = _lineage(repository, settings, what)
    try:
        await lineage.create()
    except Superseded:
        raise NotTheWriter(f"another instance began a lineage in {repository} meanwhile") from None
    async with _let_go_on_failure(lineage):
        await _close_journals(repository, lineage, leaves_journal=False)
        yield lineage


def _lineage(repository: Repository, settings: Settings, what: str) -> Lineage:
    name = f"{what}-{uuid.uuid4().hex[:12]}"
    timeout = settings.handover_timeout_seconds
    return Lineage(repository, name, timeout_seconds=timeout, outage="refuse", clock=suspended_clock)


@contextlib.asynccontextmanager
async def _signs_of_life(lineage: Lineage, timeout_seconds: float) -> AsyncIterator[None]:
    """Touch HEAD meanwhile: who gets a write asks for the lineage, and would take a silent writer for dead."""

    async def touch() -> None:
        while True:
            await asyncio.sleep(timeout_seconds / 5)
            with contextlib.suppress(StoreError, NotTheWriter):
                await lineage.touch()

    task = asyncio.create_task(touch())
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def _let_go_on_failure(lineage: Lineage) -> AsyncIterator[None]:
    try:
        yield
    except RuntimeFailure:
        with contextlib.suppress(RuntimeFailure):  # the first failure is the one to tell
            await lineage.release()
        raise
