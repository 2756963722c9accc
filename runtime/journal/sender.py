"""Sending recorded writes to Qdrant.

Owns the two transports and what an answer means for a replay. Decides no order. Leaves Qdrant's limits as they were.
"""

import asyncio
import json
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import grpc
from yarl import URL

from runtime.edge.effects import Outcome
from runtime.edge.rest import outcome_of as outcome_of_status
from runtime.edge.rpc import CHANNEL_OPTIONS, outcome_of
from runtime.errors import EngineError
from runtime.journal.limits import Limits
from runtime.journal.requests import Call
from runtime.journal.sends import Refusal
from runtime.settings import Settings

# What Qdrant had refused is sent under its limits again, and they may be of writes a minute.
_LIMITED_SECONDS = 1.0
# A payload index over all points takes its time; the start-up as a whole has its own bounds.
_LONGEST_SECONDS = 600.0


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
        self._limits = Limits(self._ask)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._limits.put_all_back()
            else:
                with suppress(EngineError):  # the first failure is the one to tell
                    await self._limits.put_all_back()
        finally:
            await self._channel.close()
            await self._session.close()

    async def send(self, call: Call) -> None:
        """Have Qdrant do it, as often as it lets us. Raises Refusal, EngineError when there is no answer."""
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._limits.prepare(call)
                while not await (self._rest(call) if call.transport == "rest" else self._rpc(call)):
                    await asyncio.sleep(_LIMITED_SECONDS)
        except TimeoutError as error:
            raise EngineError(f"Qdrant limits the rate of writes below what {call.path} takes") from error

    async def _rest(self, call: Call) -> bool:
        status, text = await self._exchange(call.method, call.path, call.body)
        if status == 429:
            return False
        if outcome_of_status(status) is Outcome.REFUSED:
            raise Refusal(str(status))
        if status >= 300:
            raise EngineError(f"Qdrant answered {call.method} {call.path} with {status}: {text[:500]}")
        return True

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Return the result of a request, None when it is refused."""
        status, text = await self._exchange(method, path, b"" if body is None else json.dumps(body).encode())
        return json.loads(text)["result"] if status == 200 else None

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        url = URL(f"http://127.0.0.1:{self._settings.qdrant_http_port}{path}", encoded=True)
        try:
            async with self._session.request(method, url, data=body) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineError(f"Qdrant did not answer {method} {path}: {error!r}") from error

    async def _rpc(self, call: Call) -> bool:
        try:
            await self._channel.unary_unary(call.path)(call.body, timeout=_LONGEST_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return False
            if outcome_of(error.code()) is Outcome.REFUSED:
                raise Refusal(error.code().name) from None
            raise EngineError(f"Qdrant did not answer {call.path}: {error.code().name}: {error.details()}") from error
        return True
