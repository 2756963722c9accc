"""Writes as requests, and requests done again in the disk engine.

Owns the one form of both, so that what the journal keeps of a write is all that a replay has.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

from runtime.edge.recording import Sent
from runtime.journal.requests import Call
from tests.crash_points.engine import DiskEngine

_ROUTES = {
    "put": ("PUT", "/collections/{collection}/points"),
    "delete": ("POST", "/collections/{collection}/points/delete"),
    "create": ("PUT", "/collections/{collection}"),
    "drop": ("DELETE", "/collections/{collection}"),
    "alias": ("POST", "/collections/aliases"),
    "recover": ("PUT", "/collections/{collection}/snapshots/recover"),
}


def request(what: str, arguments: Mapping[str, Any]) -> Sent:
    """Return what a client sends to have an engine's method called."""
    method, path = _ROUTES[what]
    body = json.dumps({"what": what, "arguments": dict(arguments)}).encode()
    return Sent("rest", method, path.format(**arguments), body)


class DiskSender:
    """In place of `runtime.journal.sender.Sender`."""

    def __init__(self, engine: DiskEngine) -> None:
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def send(self, call: Call) -> None:
        """Apply what a request holds, one or several joined."""
        body = json.loads(call.body)
        several = [next(iter(each.values())) for each in body["operations"]] if "operations" in body else [body]
        await asyncio.sleep(0.005)
        for each in several:
            self._engine.apply(each["what"], each["arguments"])
