"""Child processes: started so that none outlives this program, ended within a bound.

Owns starting, waiting and ending. Decides nothing about whether a child is started again. Children's output goes
where ours goes, untouched.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence

from runtime.errors import ConfigError


class Child:
    """One running child. Made by `start`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait(), name=f"wait for {name}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.exited.done()

    async def stop(self, *, grace_seconds: float) -> int:
        """Ask it to end, wait so long, then kill it. Returns its exit status (negative: the signal)."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                return await asyncio.shield(self.exited)
        self._signal(signal.SIGKILL)
        return await asyncio.shield(self.exited)  # who waits may be cancelled, and it ends all the same

    def _signal(self, number: signal.Signals) -> None:
        # Not `send_signal` of asyncio's process: it looks whether the child has ended, and so may take the status away
        # from who waits for it, who then makes up 255 (seen on Python 3.11; bpo-38630 brought it in).
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


async def start(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, output: int | None = None
) -> Child:
    """Start a child that the kernel kills when this program dies, even by SIGKILL. `output`: where its lines go.

    `setpriv` (util-linux, essential in Debian) sets the parent-death signal in the child itself: a `preexec_fn` would
    run Python between fork and exec of a program that has threads. Raises ConfigError when there is no such program.
    """
    program = find(name, command[0])
    guard = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    process = await asyncio.create_subprocess_exec(*guard, program, *command[1:], env=dict(environment), stdout=output)
    return Child(name, process)


def find(name: str, command: str) -> str:
    """Return a program's path. Raises ConfigError when there is none."""
    program = shutil.which(command)
    if program is None:
        raise ConfigError(f"{name} is not installed: there is no program {command!r}", hint=_HINTS.get(name, ""))
    return program


_HINTS: Mapping[str, str] = {
    "Qdrant": "Set QDRANT_BIN to its path, or put `qdrant` on PATH",
    "HAProxy": "Install it (apt-get install haproxy) or put it on PATH",
}
