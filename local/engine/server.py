"""One embedded engine from start to end: load, listen, settle now and then, stop.

Owns the event loop and the pool of threads. Nothing listens before all is loaded, as with the real server.
"""

import asyncio
import signal
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress

from aiohttp import web

from local.engine import stock
from local.engine.node import Node
from local.engine.options import Options
from local.engine.rest.app import application
from local.engine.rpc.server import start_grpc

_SETTLE_SECONDS = 1
_SHUTDOWN_SECONDS = 5
_THREADS = 8


def serve(options: Options) -> None:
    """Run until SIGTERM."""
    node = Node(options.storage, options.snapshots)
    for path, name in options.restore:
        with path.open("rb") as source:
            node.restore(source, name, stock.unpack)
    with ThreadPoolExecutor(_THREADS) as pool:
        asyncio.run(_serve(node, options, pool))


async def _serve(node: Node, options: Options, pool: Executor) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    grpc_server = await start_grpc(node, options, pool)
    app = application(node, options, pool)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.http_port)
    await site.start()
    print(f"INFO Embedded engine (qdrant-edge-py, not Qdrant) listening on {options.http_port}", file=sys.stderr)
    await _settle_until(asked, node, pool)
    # The real server takes no new connection from here on, however long it lingers.
    await site.stop()
    await asyncio.sleep(options.term_seconds)
    await asyncio.gather(runner.cleanup(), grpc_server.stop(_SHUTDOWN_SECONDS))


async def _settle_until(asked: asyncio.Event, node: Node, pool: Executor) -> None:
    loop = asyncio.get_running_loop()
    while not asked.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), _SETTLE_SECONDS)
        await loop.run_in_executor(pool, node.settle)
