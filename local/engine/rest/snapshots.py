"""Stock snapshots over HTTP: made, listed, downloaded, deleted, and recovered from a location."""

import asyncio
import secrets
import urllib.request
from concurrent.futures import Executor
from typing import Final

from aiohttp import web

from local.engine import stock
from local.engine.node import Node
from local.engine.refusal import Json, Refusal, field
from local.engine.rest.calls import Answer, Call

_DOWNLOAD_SECONDS: Final = 60
_C: Final = "/collections/{name}/snapshots"


def _recover(node: Node, call: Call) -> Json:
    location, name = field(call.body, "location"), call.path["name"]
    if location.startswith("file://") and not location.startswith(f"file://{node.snapshots.resolve()}/"):
        raise Refusal(403, "Forbidden: Snapshot file must be inside the snapshots directory")
    if not location.startswith(("http://", "https://", "file://")):
        raise Refusal(400, "Bad request: Invalid URL for snapshot location")
    target = node.temporary / f"recover-{secrets.token_hex(8)}"
    try:
        with urllib.request.urlopen(location, timeout=_DOWNLOAD_SECONDS) as source:  # noqa: S310  (scheme checked)
            stock.unpack(source, target)
    except OSError as error:
        raise Refusal(400, f"Bad request: Failed to download snapshot from {location}: {error}") from error
    node.replace(name, target)
    return True


ROUTES: Final[list[tuple[str, str, Answer]]] = [
    ("GET", _C, lambda node, call: stock.listing(node, call.path["name"])),
    ("POST", _C, lambda node, call: stock.create(node, call.path["name"])),
    ("PUT", f"{_C}/recover", _recover),
    (
        "DELETE",
        f"{_C}/{{snapshot}}",
        lambda node, call: stock.delete(node, call.path["name"], call.path["snapshot"]),
    ),
]


def add_download(app: web.Application, node: Node, pool: Executor) -> None:
    """Add the one route here whose answer is not JSON."""

    async def download(request: web.Request) -> web.StreamResponse:
        name, snapshot = request.match_info["name"], request.match_info["snapshot"]
        path = await asyncio.get_running_loop().run_in_executor(pool, stock.find, node, name, snapshot)
        disposition = f'attachment; filename="{path.name}"'
        return web.FileResponse(
            path, headers={"Content-Type": "application/octet-stream", "Content-Disposition": disposition}
        )

    app.router.add_get(f"{_C}/{{snapshot}}", download)
