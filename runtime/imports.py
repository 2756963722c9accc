"""What importing costs a start, kept low.

Owns the ways in which an instance imports its libraries: a third of its start if nothing is done about it. Imports
nothing slow itself.
"""

import asyncio
import contextlib
import gc
import importlib
import os
from collections.abc import Iterator
from typing import Final

_CERTIFICATES: Final = "SSL_CERT_FILE"


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Import in this block. What is there afterwards is never looked through for garbage again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def beside(*modules: str) -> None:
    """Import in a thread, while the loop goes on; whoever imports them next has them."""
    for module in modules:
        await asyncio.to_thread(importlib.import_module, module)


async def aiohttp_beside() -> None:
    """Import aiohttp so, for a program that speaks plain HTTP with it, and to itself. One at a time.

    It reads all of the system's certificates when it is imported, which takes longer than the rest of it. Without them
    it refuses any server that it is not told how to trust.
    """
    before = os.environ.get(_CERTIFICATES)
    os.environ[_CERTIFICATES] = os.devnull
    try:
        await beside("aiohttp")
    finally:
        if before is None:
            del os.environ[_CERTIFICATES]
        else:
            os.environ[_CERTIFICATES] = before
