"""What a replay asks of a way to the engine. The real one, which is slow to import, is `runtime.journal.sender`."""

from typing import Protocol

from runtime.journal.requests import Call


class Refusal(Exception):
    """Qdrant refuses a request; the message is the status. Its words quote what was sent, and belong in no log."""


class Sends(Protocol):
    """What sends; see Sender."""

    async def send(self, call: Call) -> None:
        """Have the engine do it. Raises Refusal, EngineError when there is no answer."""
