"""How much disk something takes while it runs.

Owns the looking: a thread that adds up a folder again and again, so what lives shorter than a look is missed. Never
used around what is timed.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

_LOOK_SECONDS = 0.01


def size_of(*trees: Path) -> int:
    """Return the bytes that the files of some folders occupy; a file of several names counts once."""
    found = {}
    # Folders that vanish while they are walked are passed over by `walk`, files by us.
    for folder, _, names in (entry for tree in trees for entry in os.walk(tree)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - it looks a hundred times a second
                found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


@contextlib.contextmanager
def peak_of(*trees: Path) -> Iterator[SimpleNamespace]:
    """Watch some folders; after the block, `before`, `peak` and `after` of what is yielded are bytes."""
    seen = SimpleNamespace(before=size_of(*trees), peak=0, after=0)
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.peak = max(seen.peak, size_of(*trees))
            ended.wait(_LOOK_SECONDS)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        seen.after = size_of(*trees)
        seen.peak = max(seen.peak, seen.before, seen.after)
