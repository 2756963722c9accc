"""The store that the repository is kept in, as a Protocol.

Owns the vocabulary (object, generation, precondition) and what every store must promise. Knows no layout:
names are opaque here. Implemented by `gcs` (a bucket), `directory` (one machine) and the strict model in the tests.

What every store promises:
- strong consistency: a read or a listing that starts after a write was answered sees it;
- an object becomes visible whole or not at all: an upload that fails, is cut or is cancelled leaves nothing to be read;
- `write_new` never overwrites; `swap` overwrites only the generation it was given;
- a call ends within the store's deadline, retries included, with a `StoreError` that says what to do.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of one object: full name below the store's root, bytes, generation, base64 CRC32C."""

    name: str
    size: int
    generation: int
    crc32c: str


class ByteSource(Protocol):
    """Bytes that a store pulls while it uploads, called from the store's own thread.

    Cannot be rewound: a store that has to send again sends from its own buffer.
    """

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, b'' at the end. Whatever it raises aborts the upload: no object appears."""


class ByteSink(Protocol):
    """Where a store delivers a range while it downloads, called from the store's own thread, in order."""

    def write(self, data: bytes | memoryview) -> object:
        """Take the next bytes. Whatever it raises ends the download."""


class Store(Protocol):
    """A place for objects. `str(store)` is its URL, for people."""

    async def read(self, name: str) -> tuple[bytes, int]:
        """Return a small object's content, checked against the store's CRC32C, and its generation.

        Raises ObjectMissing, StoreDenied (also: no such bucket), StoreUnreachable, IntegrityError (checksum).
        """

    async def stat(self, name: str) -> ObjectInfo:
        """Return what the store knows of an object. Raises as `read`."""

    async def write_new(self, name: str, data: bytes) -> ObjectInfo:
        """Create a small object (ifGenerationMatch=0), its CRC32C sent along so that the store refuses a wrong body.

        A refusal because the name is taken is looked into: the same bytes there mean that our own reply was lost,
        and count as success. Raises AlreadyExists when other bytes are there.
        """

    async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Replace an object if its generation is still `generation` (0: if there is none).

        Raises PreconditionFailed. A swap whose reply was lost may raise PreconditionFailed although it took effect:
        the caller re-reads and looks, it never assumes.
        """

    async def upload(self, name: str, source: ByteSource) -> ObjectInfo:
        """Create an object from a stream of unknown length, in bounded memory, its CRC32C sent along.

        An exception of the source, a cancellation or a lost connection beyond resuming leaves no object.
        A taken name is looked into as in `write_new`. Raises AlreadyExists, StoreError.
        """

    async def download(self, name: str, offset: int, length: int, sink: ByteSink) -> None:
        """Deliver exactly `length` bytes from `offset` to the sink; a lost connection resumes where it was cut.

        Raises ObjectMissing, IntegrityError when the object is too short.
        """

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose name starts with `prefix` and sorts behind `after`, in name order, by pages."""

    async def delete(self, name: str, generation: int) -> None:
        """Delete that generation of an object. A missing object is no error. Raises PreconditionFailed."""

    async def close(self) -> None:
        """Let go of threads and connections."""
