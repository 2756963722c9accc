"""Asking the instance on this machine, through its agent's port.

Owns the request and the meaning of its failures.
"""

from typing import Any

import aiohttp

from runtime import contract
from runtime.errors import IntegrityError, NotTheWriter, RuntimeFailure, StoreError
from runtime.settings import Settings

# As long as the longest backup that Cloud Scheduler would wait for.
_TIMEOUT = aiohttp.ClientTimeout(total=1800, sock_connect=2)


async def snapshot(settings: Settings) -> dict[str, Any]:
    """Make it save now. Raises NotTheWriter, StoreError, IntegrityError, or RuntimeFailure when none is there."""
    url = f"http://127.0.0.1:{settings.agent_port}{contract.SNAPSHOT_ROUTE}"
    headers = {"api-key": settings.api_key} if settings.api_key else {}
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.post(url, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise RuntimeFailure(
            f"no instance answers on port {settings.agent_port}: {error}",
            hint="Start one with `python -m runtime serve`, or set AGENT_PORT to its port",
        ) from error
    if response.status == 200:
        return answer
    message = str(answer.get("status", {}).get("error", answer))
    match response.status:
        case 409:
            raise NotTheWriter(message)
        case 503:
            raise StoreError(message)
        case 500:
            raise IntegrityError(message)
    raise RuntimeFailure(message)
