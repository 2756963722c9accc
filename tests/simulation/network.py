"""The way from a process to the bucket: delays, lost requests, lost replies, requests that arrive late.

Owns what becomes of each call. What a call does to the bucket is the model store's; it happens when the request
arrives there, whether or not its sender still runs.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from runtime.errors import RuntimeFailure
from runtime.repository.object_name import checked_name
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo
from tests.support.model_store import READ_BYTES, ModelBucket, ModelStore, unreachable
from tests.support.processes import NOBODY, Process

T = TypeVar("T")


@dataclass(slots=True)
class Weather:
    """How the network is. `bad` is the share of calls that go wrong, `slow` of those that take up to `slowest`."""

    bad: float
    slow: float
    slowest: float
    outage_until: float = 0.0

    @property
    def clear(self) -> bool:
        """Whether every call arrives, and soon."""
        return self.bad == 0 and self.slow == 0

    def clears_up(self) -> None:
        """Let every call go well from now on."""
        self.bad = self.slow = self.outage_until = 0.0


class NetworkStore(ModelStore):
    """One process's client of the bucket, over the network."""

    def __init__(self, bucket: ModelBucket, process: Process, weather: Weather, rng: random.Random) -> None:
        super().__init__(bucket, process.name)
        self._process = process
        self._weather = weather
        self._random = rng.random

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Read the source, then send it in one call: an upload is visible whole or not at all."""
        checked_name(name)
        chunks = []
        while chunk := source.read(READ_BYTES):
            chunks.append(chunk)
        data = b"".join(chunks)
        return await self._operation("upload", name, lambda: self._create("upload", name, data))

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver exactly the range."""

        def answer() -> bytes:
            """Return what is there then."""
            return self.bucket.get(name).data[offset : offset + length]

        sink.write(await self._operation("download", name, answer))

    async def _operation(self, verb: str, name: str, effect: Callable[[], T]) -> T:
        """Send a request and wait for what comes back of it."""
        del verb, name
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[T] = loop.create_future()
        random, weather = self._random, self._weather
        out, back = 0.002 + 0.03 * random(), 0.002 + 0.03 * random()
        if weather.slow and random() < weather.slow:
            out, back = (weather.slowest * random(), back) if random() < 0.5 else (out, weather.slowest * random())
        if self._process.dead:
            raise unreachable()
        luck = random()
        if loop.time() < weather.outage_until:
            loop.call_later(0.3 + random(), _fail, answered, unreachable(), context=NOBODY)
        elif luck >= weather.bad:
            loop.call_later(out, _arrive, loop, effect, answered, back, context=NOBODY)
        else:
            self._goes_wrong(loop, effect, answered, luck / weather.bad)
        return await answered

    def _goes_wrong(
        self, loop: asyncio.AbstractEventLoop, effect: Callable[[], T], answered: asyncio.Future[T], luck: float
    ) -> None:
        """Let one call go wrong, in one of five ways."""
        patience = 0.1 + 1.5 * self._random()
        loop.call_later(patience, _fail, answered, unreachable(), context=NOBODY)
        if luck < 0.2:
            return
        if luck < 0.5:
            loop.call_later(patience * self._random(), _quietly, effect, context=NOBODY)
        elif luck < 0.7:
            loop.call_later(patience + 2.5 * self._random(), _quietly, effect, context=NOBODY)
        else:  # the reply is lost, and the client's own retry meets its own work
            loop.call_later(patience * 0.3, _quietly, effect, context=NOBODY)
            loop.call_later(patience * 0.6, _arrive, loop, effect, answered, 0.01, context=NOBODY)


def _arrive(loop: asyncio.AbstractEventLoop, effect: Callable[[], T], answered: asyncio.Future[T], back: float) -> None:
    """Let a request take effect and send its answer back."""
    try:
        loop.call_later(back, _answer, answered, effect(), context=NOBODY)
    except RuntimeFailure as error:
        loop.call_later(back, _fail, answered, error, context=NOBODY)


def _answer(answered: asyncio.Future[T], answer: T) -> None:
    """Let the answer arrive, if anybody still waits."""
    if not answered.done():
        answered.set_result(answer)


def _fail(answered: asyncio.Future[T], error: Exception) -> None:
    """Let a failure arrive, if anybody still waits."""
    if not answered.done():
        answered.set_exception(error)


def _quietly(effect: Callable[[], object]) -> None:
    """Let a request take effect whose answer nobody hears."""
    try:
        effect()
    except RuntimeFailure:
        return
