"""Waiting for an engine or an instance, closely and with a bound."""

import contextlib
import http.client
import time
from collections.abc import Callable

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 120.0


def until(condition: Callable[[], bool]) -> float:
    """Ask closely until it holds; returns the moment. Raises TimeoutError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a benchmark waited in vain")
        time.sleep(_POLL_SECONDS)
    return time.monotonic()


def answer(port: int, path: str) -> bytes | None:
    """Return the body of a 200; None for anything else."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
    return body if response.status == 200 else None
