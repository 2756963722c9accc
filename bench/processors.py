"""On how many processors an engine runs while something is compared.

Qdrant hands a stream over from one of its threads to another, 4 KiB at a time. Where both run on processors of their
own that have nothing else to do, each of these hand-overs wakes one up, and in a virtual machine that may take longer
than all the rest: reading a stream into nothing then takes several times as long as saving it, because who hashes and
writes keeps the processors awake. With the engine on one processor nobody is woken, whoever reads.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def on_one_processor(pid: int) -> Iterator[None]:
    """Keep a process on the first processor that it may use, all its threads, those to come too."""
    every = os.sched_getaffinity(pid)
    _keep(pid, {min(every)})
    try:
        yield
    finally:
        _keep(pid, every)


def _keep(pid: int, processors: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # one that just ended
            os.sched_setaffinity(int(thread.name), processors)
