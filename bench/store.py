"""A bucket on this machine to measure through: Cloud Storage's protocol, as fast as it gets or as slow as a link.

Owns the link: a round trip that every request waits for, and a bandwidth that all connections share, by direction.
What the service answers is the strict model's, so nothing measured here could not happen there. Objects are kept in
memory and end with the process. `python -m bench.store [--round-trip-ms N] [--mb-per-second N]` prints its address and
serves until its standard input ends.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import web

from tests.support.strict_objects import Asked, StrictObjects

BUCKET: Final = "backups"
_ROOT = Path(__file__).resolve().parents[1]
_PIECE_BYTES = 256 * 1024
_PAGE = 1000
_LARGEST_REQUEST = 1 << 34
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between an instance and its bucket."""

    round_trip_ms: float = 0.0
    mb_per_second: float = float("inf")

    def __str__(self) -> str:
        if self == Link():
            return "no delay"
        return f"{self.round_trip_ms:g} ms round trip, {self.mb_per_second:g} MB/s each way"


class Direction(Enum):
    """Which way bytes go; the two do not share their bandwidth."""

    UP = "to the bucket"
    DOWN = "from the bucket"


class Traffic:
    """All that goes over one link. `clock` gives seconds that never go back."""

    def __init__(self, link: Link, clock: Callable[[], float]) -> None:
        self._link = link
        self._clock = clock
        self._free_at = dict.fromkeys(Direction, float("-inf"))

    def wait(self, direction: Direction, size: int) -> float:
        """Send `size` bytes behind all that was sent before; returns the seconds until the last of them is through."""
        now = self._clock()
        starts = max(now, self._free_at[direction])
        self._free_at[direction] = starts + size / (self._link.mb_per_second * 1e6)
        return self._free_at[direction] - now

    def round_trip(self) -> float:
        """Return the seconds every request waits for, however many are under way."""
        return self._link.round_trip_ms / 1000


@contextlib.contextmanager
def running_store(link: Link = Link()) -> Iterator[str]:
    """Run a store as a process of its own and yield its address, for STORAGE_EMULATOR_HOST."""
    arguments = [f"--round-trip-ms={link.round_trip_ms}", f"--mb-per-second={link.mb_per_second}"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.store", *arguments], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            address = process.stdout.readline().decode().strip() if process.stdout else ""
            if not address:
                raise RuntimeError("the store did not start")
            yield address
        finally:
            process.kill()


class _Server:
    def __init__(self, link: Link) -> None:
        # No MD5: the service has none of composed objects either, and it would take longer than all the rest.
        self.objects = StrictObjects(BUCKET, _PAGE, md5=False)
        self._traffic = Traffic(link, asyncio.get_running_loop().time)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._through(Direction.UP, len(body), extra=self._traffic.round_trip())
        answer = self.objects.answer(
            Asked(request.method, request.path, dict(request.query), dict(request.headers), body)
        )
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        view = memoryview(answer.body)
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            await self._through(Direction.DOWN, len(piece))
            await response.write(piece)
        await response.write_eof()
        return response

    async def _through(self, direction: Direction, size: int, extra: float = 0.0) -> None:
        if (seconds := self._traffic.wait(direction, size) + extra) > 0:
            await asyncio.sleep(seconds)


async def _serve(link: Link) -> None:
    server = _Server(link)
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, read_bufsize=1 << 20)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.objects.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    print(server.objects.url, flush=True)
    # Whoever started it may be killed: its end of the pipe closes then, whatever happens.
    await asyncio.to_thread(sys.stdin.buffer.read)
    async with asyncio.timeout(_STOP_SECONDS):
        await runner.cleanup()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--mb-per-second", type=float, default=float("inf"))
    arguments = parser.parse_args()
    uvloop.run(_serve(Link(arguments.round_trip_ms, arguments.mb_per_second)))


if __name__ == "__main__":
    main()
