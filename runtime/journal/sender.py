"""Sending recorded writes to Qdrant.

Owns the two transports and what an answer means for a replay. Decides no order.
"""

from types import TracebackType
from typing import Protocol, Self

import aiohttp
import grpc
from yarl import URL

from runtime.edge.effects import Outcome
from runtime.edge.rpc import CHANNEL_OPTIONS, outcome_of
from runtime.errors import EngineError
from runtime.journal.requests import Call
from runtime.settings import Settings

# A payload index over all points takes its time; the start-up as a whole has its own bounds.
_LONGEST_SECONDS = 600.0


class Refusal(Exception):
    """Qdrant refuses a request that it had applied once."""


class Sends(Protocol):
    """What sends; see Sender."""

    async def send(self, call: Call) -> None:
        """Have the engine do it. Raises Refusal, EngineError when there is no answer."""


class Sender:
    """A way to the engine of these settings; use it as a context."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        key = self._settings.api_key
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_LONGEST_SECONDS, sock_connect=2),
            headers={"Content-Type": "application/json", **({"Api-Key": key} if key else {})},
        )
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{self._settings.qdrant_grpc_port}", options=CHANNEL_OPTIONS
        )
        self._metadata = (("api-key", key),) if key else ()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()
        await self._session.close()

    async def send(self, call: Call) -> None:
        """Have Qdrant do it. Raises Refusal, EngineError when there is no answer."""
        await (self._rest(call) if call.transport == "rest" else self._rpc(call))

    async def _rest(self, call: Call) -> None:
        url = URL(f"http://127.0.0.1:{self._settings.qdrant_http_port}{call.path}", encoded=True)
        try:
            async with self._session.request(call.method, url, data=call.body) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineError(f"Qdrant did not answer {call.method} {call.path}: {error!r}") from error
        if 400 <= answer.status < 500:
            raise Refusal(text[:500])
        if answer.status >= 300:
            raise EngineError(f"Qdrant answered {call.method} {call.path} with {answer.status}: {text[:500]}")

    async def _rpc(self, call: Call) -> None:
        try:
            await self._channel.unary_unary(call.path)(call.body, timeout=_LONGEST_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if outcome_of(error.code()) is not Outcome.UNANSWERED:
                raise Refusal(f"{error.code().name}: {error.details()}") from error
            raise EngineError(f"Qdrant did not answer {call.path}: {error.code().name}: {error.details()}") from error
