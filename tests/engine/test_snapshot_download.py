import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from runtime.engine.admin import Admin
from runtime.stock_snapshots import write_snapshots
from tests.edge.stage import in_loop

WHOLE = b"x" * 100_000


@asynccontextmanager
async def engine(cut: str) -> AsyncIterator[Admin]:
    """Serve the routes a stock snapshot needs; its download ends early where `cut` says so."""

    async def download(request: web.Request) -> web.StreamResponse:
        """Send the snapshot, as the test wants it."""
        answer = web.StreamResponse()
        if cut == "length":
            answer.content_length = 2 * len(WHOLE)
        else:
            answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(WHOLE)
        await asyncio.sleep(0)
        if cut and request.transport is not None:
            request.transport.abort() if cut == "reset" else request.transport.close()
        return answer

    async def made(_request: web.Request) -> web.Response:
        """Say that a snapshot was made."""
        status = 500 if cut == "creation" else 200
        return web.json_response({"result": {"name": "books-1.snapshot"}}, status=status)

    async def listed(_request: web.Request) -> web.Response:
        """Say which snapshots there are."""
        return web.json_response({"result": {"collections": [{"name": "books"}]}})

    app = web.Application()
    app.router.add_get("/collections", listed)
    app.router.add_post("/collections/books/snapshots", made)
    app.router.add_get("/collections/books/snapshots/books-1.snapshot", download)
    app.router.add_delete("/collections/books/snapshots/books-1.snapshot", made)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    admin = Admin(runner.addresses[0][1], None)
    try:
        yield admin
    finally:
        await admin.close()
        await runner.cleanup()


@pytest.mark.parametrize("cut", ["length", "chunks", "reset", "creation"])
@in_loop
async def test_a_download_that_is_cut_leaves_no_file(tmp_path: Path, cut: str) -> None:
    """However the engine fails, the collection is `failed` with the reason, and the folder stays empty."""
    async with engine(cut) as admin:
        (target,) = await write_snapshots(admin, tmp_path, only=(), reason="api")

    assert (target.collection, target.status, target.file) == ("books", "failed", None)
    assert target.error
    assert list(tmp_path.iterdir()) == []


@in_loop
async def test_a_whole_download_is_a_file(tmp_path: Path) -> None:
    """What the engine sent is in the file, and its size in the answer."""
    async with engine("") as admin:
        (target,) = await write_snapshots(admin, tmp_path, only=(), reason="api")

    assert (target.status, target.bytes) == ("completed", len(WHOLE))
    assert Path(str(target.file)).read_bytes() == WHOLE
