"""What the gate asks of whoever records its writes.

Owns the vocabulary between the gate and the journal. Records nothing.
"""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from runtime.edge.answers import Answer
from runtime.edge.effects import Write


@dataclass(frozen=True, slots=True)
class Sent:
    """A write as it was sent. `path`: with its query, or the full gRPC method. `body` None: too large to be kept."""

    transport: Literal["rest", "rpc"]
    method: str
    path: str
    body: bytes | None


class Turn(Protocol):
    """A write's turn at the engine."""

    @property
    def write(self) -> Write:
        """The write, its collection called by its own name."""

    async def record(self, sent: Sent, answer: Answer) -> Awaitable[None]:
        """Record that the engine applied the write; what is returned is awaited before it is acknowledged.

        Called while the write has its place in the gate. Raises Refused.
        """


class Recorder(Protocol):
    """Records writes. Bodies that are kept for it are counted."""

    largest_body: int

    async def take(self, size: int) -> None:
        """Count bytes that wait to be recorded. Raises Refused when there are too many."""

    def give(self, size: int) -> None:
        """Count them no more."""

    def turn(self, write: Write, *, alone: bool) -> AbstractAsyncContextManager[Turn]:
        """Hold the write's turn at the engine for the block, from before it is sent until it is recorded."""
