"""The load generator, a process of its own: the same requests to the engine directly and through the edge, in turns.

Owns the clients and the clock of each request. Prints one JSON document: by target, the latencies of each round.
`python -m bench.load KIND DIRECT_PORT EDGE_PORT ROUNDS SECONDS CONNECTIONS`
"""

import asyncio
import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import grpc
import uvloop

from bench import points

BULK = "bulk"
KEY = "the-key-of-the-benchmark"
_BULK_POINTS = 200
_FEW_POINTS = 10
_MIX = 10
_BODIES = 24
_LONGEST = 30.0

# Send the request of that number, of what is asked.
SendOne = Callable[[str, int], Awaitable[None]]


def main() -> None:
    """Run all rounds."""
    kind, direct, edge, rounds, seconds, connections = sys.argv[1:]
    # The last core is ours: a client that wanders would measure the scheduler.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ports = {"direct": int(direct), "edge": int(edge)}
    print(json.dumps(uvloop.run(_alternate(kind, ports, int(rounds), float(seconds), int(connections)))))


async def _alternate(
    kind: str, ports: dict[str, int], rounds: int, seconds: float, connections: int
) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {"direct": [], "edge": []}
    _prepare(kind)
    for number in range(-1, rounds):
        for target in ("direct", "edge") if number % 2 else ("edge", "direct"):
            latencies = await _round(kind, ports[target], seconds if number >= 0 else min(seconds, 0.5), connections)
            if number >= 0:  # the first is for warming up
                found[target].append(latencies)
    return found


async def _round(kind: str, port: int, seconds: float, connections: int) -> list[float]:
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def client(send: Callable[[int], Awaitable[None]], first: int) -> None:
        number = first
        while (started := time.perf_counter()) < deadline:
            await send(number)
            latencies.append(time.perf_counter() - started)
            number += 1

    protocol, _, what = kind.partition("-")
    open_client = _rpc if protocol == "grpc" else _rest
    async with open_client(port, connections) as send:
        await asyncio.gather(*(client(functools.partial(send, what), index * 7) for index in range(connections)))
    return latencies


@contextlib.asynccontextmanager
async def _rpc(port: int, _connections: int) -> AsyncIterator[SendOne]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        query, upsert = channel.unary_unary(points.QUERY), channel.unary_unary(points.UPSERT)

        async def send(what: str, number: int) -> None:
            writes = _writes(what, number)
            body = _rpc_body(what, number % _BODIES, writes=writes)
            await (upsert if writes else query)(body, timeout=_LONGEST, metadata=(("api-key", KEY),))

        yield send


@contextlib.asynccontextmanager
async def _rest(port: int, connections: int) -> AsyncIterator[SendOne]:
    limit = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=limit, timeout=aiohttp.ClientTimeout(total=_LONGEST)) as session:

        async def send(what: str, number: int) -> None:
            writes = _writes(what, number)
            verb = "PUT" if writes else "POST"
            path = f"{_collection(what)}/points?wait=true" if writes else f"{points.COLLECTION}/points/query"
            async with session.request(
                verb,
                f"http://127.0.0.1:{port}/collections/{path}",
                data=_rest_body(what, number % _BODIES, writes=writes),
                headers={"Content-Type": "application/json", "Api-Key": KEY},
            ) as response:
                await response.read()
                response.raise_for_status()

        yield send


def _prepare(kind: str) -> None:
    """Make every body beforehand: the clock must not see it."""
    protocol, _, what = kind.partition("-")
    body = _rpc_body if protocol == "grpc" else _rest_body
    for number in range(_BODIES):
        for writes in {_writes(what, number), _writes(what, 0)}:
            body(what, number, writes=writes)


def _writes(what: str, number: int) -> bool:
    return what == "bulk" or (what == "mixed" and number % _MIX == 0)


def _collection(what: str) -> str:
    return BULK if what == "bulk" else points.COLLECTION


def _ids(what: str, number: int) -> range:
    count = _BULK_POINTS if what == "bulk" else _FEW_POINTS
    return range(number * count, (number + 1) * count)


@functools.cache
def _rest_body(what: str, number: int, *, writes: bool) -> bytes:
    return points.upsert_body(_ids(what, number)) if writes else points.query_body(number)


@functools.cache
def _rpc_body(what: str, number: int, *, writes: bool) -> bytes:
    return points.upsert_message(_collection(what), _ids(what, number)) if writes else points.query_message(number)


if __name__ == "__main__":
    main()
