"""What the C library keeps of the memory that Python has given back.

Owns how it is told to keep little: an instance's threads each take and free buffers of megabytes, and what one of
them has freed another cannot use. Measures nothing.
"""

import contextlib
import ctypes
from typing import Final

# mallopt's number for it, in malloc.h. By default it is eight for each processor.
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def share_arenas() -> None:
    """Have all threads share two heaps; call it before there are threads. Without glibc nothing is done."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give pages that nothing lies on back to the system, wherever in a heap they are. Takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
