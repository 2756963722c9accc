"""What Qdrant's answer to a write says of the write's place in the order.

Owns reading operation ids, states and full collections from the bytes of an answer, REST or gRPC, without its
definition.
"""

import re
from dataclasses import dataclass
from typing import Final

from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.rpc_routes import wire_values

_IDS: Final = re.compile(rb'"operation_id":\s*(\d+)')
_NOT_APPLIED: Final = re.compile(rb'"status":\s*"(?!ok"|completed")')
# A collection is full, by counts that Qdrant takes now and then: looked at before an operation is begun.
_FULL: Final = r"Bad request: Max [a-z ]+ limit of [0-9.]+(?:MB)? reached!"
_REST_FULL: Final = re.compile(f'"error":"{_FULL}"'.encode())
_RPC_FULL: Final = re.compile(_FULL)
_RESULT, _OPERATION_ID, _STATUS, _COMPLETED = 1, 1, 2, 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The operation ids, in order, and whether Qdrant says that all of it is applied, not just accepted."""

    ids: tuple[int, ...] = ()
    applied: bool = True


def rest_answer(body: bytes) -> Answer:
    """Read the answer to a write by REST: nothing in it comes from a client."""
    return Answer(tuple(int(number) for number in _IDS.findall(body)), _NOT_APPLIED.search(body) is None)


def rest_refusal(write: Write | None, body: bytes) -> Outcome:
    """Tell what a refusal by REST says: a full collection has room later, so that is no answer to repeat."""
    return Outcome.REFUSED if _REST_FULL.search(body) is None else _full(write)


def rpc_refusal(write: Write, details: str) -> Outcome:
    """Tell what a refusal by gRPC says, as `rest_refusal`."""
    return Outcome.REFUSED if _RPC_FULL.fullmatch(details) is None else _full(write)


def _full(write: Write | None) -> Outcome:
    """Of a batch the operations before may be applied."""
    return Outcome.LIMITED if write is None or write.effect is Effect.BATCH else Outcome.UNTOUCHED


def rpc_answer(message: bytes) -> Answer:
    """Read a PointsOperationResponse or an UpdateBatchResponse; any other answer has no ids."""
    ids: list[int] = []
    applied = True
    try:
        for field, value in wire_values(message):
            if field != _RESULT or not isinstance(value, bytes):
                continue
            result = dict(wire_values(value))
            number = result.get(_OPERATION_ID)
            if isinstance(number, int):
                ids.append(number)
            applied = applied and result.get(_STATUS) == _COMPLETED
    except IndexError:
        return Answer()
    return Answer(tuple(ids), applied)
