"""Child processes."""

import asyncio
import contextlib
import os
import signal
import sys

from runtime.children import start

# Does not hear SIGTERM, and says when that is so.
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def test_who_gives_up_waiting_for_an_end_does_not_make_it_unknown() -> None:
    """A stop that is cancelled leaves a child that can still be waited for, and whose status is its own."""

    async def story() -> None:
        """Tell it."""
        child = await start("sleeper", (sys.executable, "-c", _DEAF), dict(os.environ))
        stopping = asyncio.create_task(child.stop(grace_seconds=0))
        for _ in range(4):  # it has sent SIGKILL, and waits
            await asyncio.sleep(0)
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stopping
        async with asyncio.timeout(30):
            assert await child.stop(grace_seconds=0) < 0
        assert not child.running

    asyncio.run(story())


def test_a_signal_takes_nobodys_status_away() -> None:
    """However often a child is told to end while it ends, who waits gets the signal that ended it, not 255."""

    async def story() -> set[int]:
        """Tell three hundred times at once; return what each was told."""
        child = await start("sleeper", ("sleep", "600"), dict(os.environ))
        return set(await asyncio.gather(*(child.stop(grace_seconds=30) for _ in range(300))))

    for _ in range(20):
        assert asyncio.run(story()) == {-signal.SIGTERM}
