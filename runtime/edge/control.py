"""Opening and closing the way from HAProxy to the engine, by HAProxy's control socket.

Owns the words said on that socket. HAProxy starts with the way closed, so that nothing is read from an engine
whose data has not been compared yet; a HAProxy that was started again has to be told again. Decides nothing
about when: that is the supervisor's.
"""

import asyncio
from pathlib import Path
from typing import Final

from runtime.errors import RuntimeFailure

_ANSWER_SECONDS: Final = 2.0
_ANSWER_BYTES: Final = 64 * 1024
_ENGINES: Final = ("rest_reads/engine", "rpc_reads/engine")


class EdgeControl:
    """HAProxy's control socket at `path`; every call is one short connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def listening(self) -> bool:
        """Tell whether HAProxy is up; once it answers here, its port is bound."""
        try:
            return "Name: HAProxy" in await self._ask("show info")
        except RuntimeFailure:
            return False

    async def open_reads(self) -> None:
        """Let reads through to the engine."""
        await self._set("ready")

    async def close_reads(self) -> None:
        """Answer reads with 503 from now on; those that were begun go on."""
        await self._set("maint")

    async def _set(self, state: str) -> None:
        answer = await self._ask("; ".join(f"set server {engine} state {state}" for engine in _ENGINES))
        if answer.strip():
            raise RuntimeFailure(
                f"HAProxy did not take its servers to {state}: {answer.strip()}",
                hint="its configuration and runtime.edge.control disagree on the servers' names",
            )

    async def _ask(self, command: str) -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                try:
                    writer.write(command.encode() + b"\n")
                    await writer.drain()
                    answer = b""
                    while len(answer) < _ANSWER_BYTES and (piece := await reader.read(_ANSWER_BYTES)):
                        answer += piece
                    return answer.decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise RuntimeFailure(
                f"HAProxy does not answer on {self._path}: {str(error) or 'timed out'}",
                hint="see HAProxy's own messages on standard error",
            ) from error
