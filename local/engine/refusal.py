"""What Qdrant answers when it refuses: one exception, with the status and the sentence of the real server.

Owns the vocabulary; REST and gRPC each turn it into their own form.
"""

from typing import Any

Json = Any


class Refusal(Exception):
    """A request cannot be served; `status` and `text` are what Qdrant would say."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def wrong_input(text: str) -> Refusal:
    """Answer the refusal of a request whose content is wrong."""
    return Refusal(400, f"Wrong input: {text}")


def malformed(text: str) -> Refusal:
    """Answer the refusal of a body that does not have the expected form."""
    return Refusal(400, f"Format error in JSON body: {text}")


def not_found(text: str) -> Refusal:
    """Answer the refusal of a request for something that is not there."""
    return Refusal(404, f"Not found: {text}")


def conflict(text: str) -> Refusal:
    """Answer the refusal to make what exists already."""
    return Refusal(409, f"Wrong input: {text}")


def unsupported(what: str) -> Refusal:
    """Answer the refusal of something only the real server can do."""
    return Refusal(400, f"Bad request: the embedded engine does not know {what}; run a real Qdrant for it")


def as_refusal(error: Exception) -> Refusal:
    """Answer what any failure of a request means: the engine raises bare exceptions for what it refuses."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TypeError | ValueError | KeyError | AttributeError | OverflowError):
        # The right syntax and the wrong form: the real server's parser says so in its own words.
        return malformed(str(error))
    if type(error) is Exception:
        return wrong_input(str(error))
    return Refusal(500, f"Service internal error: {error!r}")


def field(body: Json, name: str) -> Json:
    """Answer a required field of a body, or refuse as the real server's parser does."""
    if not isinstance(body, dict):
        raise malformed("expected a map")
    if body.get(name) is None:
        raise malformed(f"missing field `{name}`")
    return body[name]
