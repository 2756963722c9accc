"""The load generator, a process of its own: the same requests to the engine directly and through the edge, in turns.

Owns the clients and the clock of each request. Prints one JSON document: by target, the latencies of each round.
`python -m bench.load KIND DIRECT_PORT EDGE_PORT ROUNDS SECONDS CONNECTIONS`
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
import uvloop

from bench import points

BULK = "bulk"
_BULK_POINTS = 200
_BODIES = 24
_LONGEST = 30.0

Send = Callable[[int], Awaitable[None]]


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
    bodies = _bodies(kind)
    for number in range(-1, rounds):
        for target in ("direct", "edge") if number % 2 else ("edge", "direct"):
            latencies = await _round(kind, ports[target], bodies, seconds if number >= 0 else 0.5, connections)
            if number >= 0:  # the first is for warming up
                found[target].append(latencies)
    return found


async def _round(kind: str, port: int, bodies: list[bytes], seconds: float, connections: int) -> list[float]:
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def client(send: Send, first: int) -> None:
        number = first
        while (started := time.perf_counter()) < deadline:
            await send(number % len(bodies))
            latencies.append(time.perf_counter() - started)
            number += 1

    if kind.startswith("grpc"):
        method = points.UPSERT if kind == "grpc-upsert" else points.QUERY
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(method)

            async def send_rpc(number: int) -> None:
                await call(bodies[number], timeout=_LONGEST)

            await asyncio.gather(*(client(send_rpc, index * 7) for index in range(connections)))
        return latencies
    verb, path = (
        ("PUT", f"/collections/{BULK}/points?wait=true")
        if kind == "rest-upsert"
        else ("POST", f"/collections/{points.COLLECTION}/points/query")
    )
    limit = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=limit, timeout=aiohttp.ClientTimeout(total=_LONGEST)) as session:

        async def send_rest(number: int) -> None:
            headers = {"Content-Type": "application/json"}
            async with session.request(
                verb, f"http://127.0.0.1:{port}{path}", data=bodies[number], headers=headers
            ) as response:
                await response.read()
                response.raise_for_status()

        await asyncio.gather(*(client(send_rest, index * 7) for index in range(connections)))
    return latencies


def _bodies(kind: str) -> list[bytes]:
    ranges = [range(first * _BULK_POINTS, (first + 1) * _BULK_POINTS) for first in range(_BODIES)]
    match kind:
        case "rest-search":
            return [points.query_body(number) for number in range(_BODIES)]
        case "grpc-query":
            return [points.query_message(number) for number in range(_BODIES)]
        case "rest-upsert":
            return [points.upsert_body(ids) for ids in ranges]
        case "grpc-upsert":
            return [points.upsert_message(BULK, ids) for ids in ranges]
    raise ValueError(kind)


if __name__ == "__main__":
    main()
