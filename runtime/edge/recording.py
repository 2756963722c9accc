"""What the gate asks of whoever records its writes.

Owns the vocabulary between the gate and the journal. Records nothing.
"""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from runtime.edge.answers import Answer
from runtime.edge.effects import Outcome, Write


@dataclass(frozen=True, slots=True)
class Sent:
    """A write as it was sent. `path`: with its query, or the full gRPC method. `body` None: too large to be kept."""

    transport: Literal["rest", "rpc"]
    method: str
    path: str
    body: bytes | None


class Turn(Protocol):
    """A write's turn at the engine. `send` once, then `record` or `give_up`, while it has its place in the gate."""

    @property
    def write(self) -> Write:
        """The write, its collection called by its own name."""

    def send(self) -> None:
        """Note that the write goes to the engine now."""

    async def record(self, answer: Answer) -> Awaitable[None]:
        """Record that the engine applied it; what is returned is awaited before it is acknowledged. Raises Refused."""

    def give_up(self, outcome: Outcome) -> None:
        """Note that the write is not to be acknowledged, and what it may have done."""


class Recorder(Protocol):
    """Records writes. Bodies that are kept for it are counted."""

    largest_body: int

    @property
    def is_unsettled(self) -> bool:
        """Whether the engine may hold what is not recorded: a backup then is only right if it is made for that."""

    async def take(self, size: int) -> None:
        """Count bytes that wait to be recorded. Raises Refused when there are too many."""

    def give(self, size: int) -> None:
        """Count them no more."""

    def turn(self, write: Write, sent: Sent) -> AbstractAsyncContextManager[Turn]:
        """Hold the write's turn at the engine for the block, from before it is sent until it is recorded."""
