"""A stock snapshot brought from one engine to another without a copy in between.

Owns the way: from the source through a port on loopback to the engine that unpacks it while it arrives. A connection
that is cut goes on where it was; the last bytes are only passed on when the
hash of all of them is what the source said.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from runtime.errors import EngineError, IntegrityError, RuntimeFailure
from runtime.sync.remote import Passing, Remote, Snapshot

_MOST_CUTS = 5
_CUT_SECONDS = 0.5


@dataclass(slots=True)
class _Relay:
    source: Remote
    collection: str
    snapshot: Snapshot
    show: Callable[[int], None]
    failure: RuntimeFailure | None = None
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    sent: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = self.snapshot.size
        await response.prepare(request)
        try:
            kept = b""
            async for piece in self._bytes():
                if kept:
                    await response.write(kept)
                kept = piece
            self._check()
            await response.write(kept)
        except RuntimeFailure as failure:
            self.failure = failure
            if request.transport is not None:
                request.transport.abort()  # the engine must not take what came so far for all of it
            return response
        await response.write_eof()
        return response

    async def _bytes(self) -> AsyncIterator[bytes]:
        """Yield the snapshot, connections that end early notwithstanding as long as each brings something."""
        self.hash, self.sent, cuts = hashlib.sha256(), 0, 0
        while self.sent < self.snapshot.size:
            before = self.sent
            try:
                async with contextlib.aclosing(
                    self.source.read_snapshot(self.collection, self.snapshot, self.sent)
                ) as pieces:
                    async for piece in pieces:
                        self.hash.update(piece)
                        self.sent += len(piece)
                        self.show(self.sent)
                        yield piece
            except Passing as error:
                cut = error
            else:
                cut = Passing(f"{self.source} ended the snapshot of {self.collection!r} early")
            if self.sent < self.snapshot.size:
                cuts = 1 if self.sent > before else cuts + 1
                if cuts >= _MOST_CUTS:
                    raise cut
                await asyncio.sleep(_CUT_SECONDS)

    def _check(self) -> None:
        expected = self.snapshot.sha256
        if self.sent != self.snapshot.size or (expected and self.hash.hexdigest() != expected):
            raise IntegrityError(
                f"the snapshot of {self.collection!r} did not arrive as {self.source} made it: its hash is wrong",
                hint="Run it again",
            )


async def bring(
    source: Remote, collection: str, snapshot: Snapshot, target: Remote, show: Callable[[int], None]
) -> None:
    """Have the target recover a snapshot that is on the source; `show` is told how many bytes are on their way.

    Raises EngineError, IntegrityError.
    """
    relay = _Relay(source, collection, snapshot, show)
    path = f"/{secrets.token_urlsafe(16)}"
    app = web.Application()
    app.router.add_get(path, relay.answer, allow_head=False)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        # The hash is ours to check: the engine would look only after it had unpacked everything.
        await target.recover(collection, f"http://127.0.0.1:{port}{path}", None)
    except EngineError:
        if relay.failure is not None:
            raise relay.failure from None
        raise
    finally:
        await runner.cleanup()
    if relay.failure is not None or relay.sent != snapshot.size:
        raise relay.failure or IntegrityError(f"the snapshot of {collection!r} was not read to its end")
