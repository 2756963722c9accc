"""An instance on the three backups, and its agent on a real port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from runtime.api.app import agent_app
from tests.commands.conftest import Made
from tests.support.lineages import Served, environment, served


@asynccontextmanager
async def agent(made: Made, storage: Path, **more: str) -> AsyncIterator[tuple[Served, aiohttp.ClientSession]]:
    """Run an instance and its agent; give a client of the agent."""
    short = {"BACKUP_QUIET_SECONDS": "0.1", "BACKUP_MAX_AGE_SECONDS": "5"}
    variables = environment(f"file://{made.bucket}", storage, **{**short, **more})
    async with served(variables) as one:
        runner = web.AppRunner(agent_app(one.instance, one.settings), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
                yield one, client
        finally:
            await runner.cleanup()
