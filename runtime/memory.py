"""What the C library keeps of the memory that Python has given back.

Owns how it is told to keep little: an instance's threads each take and free buffers of megabytes, and what one of
them has freed another cannot use. Measures nothing.
"""

import contextlib
import ctypes
from typing import Final

# mallopt's numbers for them, in malloc.h.
_M_ARENA_MAX: Final = -8
_M_MMAP_THRESHOLD: Final = -3
# By default it is eight for each processor.
_ARENAS: Final = 2
# What is larger comes from the system and goes back to it at once. By default that size grows with what is freed, and
# bodies that waited for the bucket leave holes that nothing fits into. Above the pieces of a MiB that are read one
# after the other: those would be mapped anew each time.
_LARGE_BYTES: Final = 1536 * 1024


def keep_little() -> None:
    """Have all threads share two heaps, and none keep what is large; call it before there are threads.

    Without glibc nothing is done.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Give pages that nothing lies on back to the system, wherever in a heap they are. Takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
