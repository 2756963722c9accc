"""A bucket of Cloud Storage as the store: `gs://bucket/prefix`.

Owns the Protocol's promises, the prefix and the threads; `gcs_bucket` owns the requests. Importing this
module
imports nothing of Google's: that takes most of a second, and an instance must be listening before. The
first call does it, in its thread.

A call that is retried after a lost reply may meet its own work as a 412. For creates that is looked into;
for `swap` it cannot be told apart from somebody else's swap without reading, and the caller reads.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

from runtime.repository.bucket_facts import BucketFacts
from runtime.repository.object_name import checked_name
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo
from runtime.repository.threads import StoreThreads

if TYPE_CHECKING:
    from runtime.repository.gcs_bucket import GcsBucket

T = TypeVar("T")

THREADS = 8
# Each holds two chunks in memory: one being sent while the other is filled.
UPLOADS_AT_ONCE = 2


class GcsStore:
    """A Store in a bucket, below a prefix. One per process is enough; its calls may overlap."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        project: str | None = None,
        emulator_host: str | None = None,
        deadline_seconds: float = 20.0,
    ) -> None:
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._project = project
        self._emulator_host = emulator_host
        self._seconds = deadline_seconds
        self._threads = StoreThreads("gcs-store", THREADS)
        self._uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._connecting = threading.Lock()
        self._connected: GcsBucket | None = None

    def __str__(self) -> str:
        return f"gs://{self._name}/{self._prefix}".rstrip("/")

    async def read(self, name: str) -> tuple[bytes, int]:
        """Return content and generation, from one answer (see Store)."""
        full = self._full(name)
        return await self._threads.run(
            lambda abort: self._bucket().read(full, abort), seconds=self._seconds, what=str(self)
        )

    async def stat(self, name: str) -> ObjectInfo:
        """Return what the bucket knows (see Store)."""
        full = self._full(name)
        return self._below(await self._call(lambda bucket: bucket.stat(full)))

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Create a small object (see Store)."""
        full = self._full(name)
        return self._below(await self._call(lambda bucket: bucket.create(full, data)))

    async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Replace that generation (see Store)."""
        full = self._full(name)
        return self._below(await self._call(lambda bucket: bucket.write(full, data, generation)))

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Create an object from a stream (see Store), of which it holds two chunks at a time."""
        full = self._full(name)
        async with self._uploads:
            return self._below(await self._threads.stream(lambda abort: self._bucket().upload(full, source, abort)))

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver a range (see Store)."""
        full = self._full(name)
        await self._threads.stream(lambda abort: self._bucket().download(full, offset, length, sink, abort))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what is there, in name order (see Store)."""
        token: str | None = None
        start = self._prefix + after if after else None
        while True:
            page, token = await self._call(
                lambda bucket, token=token: bucket.page(self._prefix + prefix, token, start)  # type: ignore[misc]
            )
            for info in page:
                found = self._below(info)
                if found.name > after:  # the service's offset includes the name itself
                    yield found
            if token is None:
                return

    async def delete(self, name: str, generation: int) -> None:
        """Delete that generation (see Store)."""
        full = self._full(name)
        await self._call(lambda bucket: bucket.delete(full, generation))

    async def facts(self) -> BucketFacts:
        """Return what the bucket says of itself (see Examinable)."""
        return await self._call(lambda bucket: bucket.probe.facts())

    async def create_with_wrong_checksum(self, name: str) -> None:
        """Try what a store must refuse (see Examinable)."""
        full = self._full(name)
        await self._call(lambda bucket: bucket.probe.create_with_wrong_checksum(full))

    def place(self, name: str) -> tuple[str, str, str | None]:
        """Return where an object is: its bucket, its full name, and the emulator that plays the service, if any."""
        return self._name, self._full(name), self._emulator_host

    async def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.close()
        if self._connected is not None:
            self._connected.close()

    async def _call(self, call: Callable[["GcsBucket"], T]) -> T:
        return await self._threads.run(lambda _: call(self._bucket()), seconds=self._seconds, what=str(self))

    def _bucket(self) -> "GcsBucket":
        with self._connecting:
            if self._connected is None:
                # Here and not above: see the module's docstring.
                from runtime.repository.gcs_bucket import GcsBucket  # noqa: PLC0415

                self._connected = GcsBucket(
                    self._name,
                    project=self._project,
                    emulator_host=self._emulator_host,
                    seconds=self._seconds,
                    connections=THREADS + UPLOADS_AT_ONCE,
                )
            return self._connected

    def _full(self, name: str) -> str:
        return checked_name(self._prefix + checked_name(name))

    def _below(self, info: ObjectInfo) -> ObjectInfo:
        return ObjectInfo(info.name[len(self._prefix) :], info.size, info.generation, info.crc32c)
