"""One write's way through the gate, the same for REST and gRPC.

Owns the order of the steps: a turn, a place, the right to go on, the engine, the record, the place given back, the
right to answer. Knows neither HTTP nor gRPC: the block inside does the forwarding and sets the outcome.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from runtime.edge.answers import Answer
from runtime.edge.effects import Effect, Outcome, Write
from runtime.edge.gate import Gate, Refused
from runtime.edge.recording import Sent, Turn

_LONGEST_NAME_BYTES = 200


@dataclass(slots=True)
class Passage:
    """What is known about a write that has its place; UNANSWERED until the engine's answer is there."""

    outcome: Outcome
    answer: Answer = Answer()  # noqa: RUF009 - frozen
    stored: Awaitable[None] | None = None


@asynccontextmanager
async def passage(gate: Gate, write: Write, resolve: Callable[[str], str], sent: Sent) -> AsyncIterator[Passage]:
    """Hold a place for one write; leaving the block raises Refused when its success may not be told.

    `resolve` turns an alias into its collection's name. It is asked before and after: when an alias was moved
    meanwhile, either collection may have been written to.
    """
    _refuse_unstreamable(write)
    stored: Awaitable[None] | None = None
    known: int | None = None
    async with AsyncExitStack() as turns:
        turn: Turn | None = None
        if gate.recorder is not None:
            gate.require_admitted()
            # Whoever is to become the writer for it becomes it first: what names mean is known only then.
            known = await gate.confirm()
            turn = await turns.enter_async_context(gate.recorder.turn(write, sent))
            write = turn.write
        await gate.enter()
        state = Passage(Outcome.UNTOUCHED)
        before = _resolved(write, resolve)
        try:
            epoch = await gate.confirm(known)
            state.outcome = Outcome.UNANSWERED
            if turn is None:
                yield state
            else:
                async with _recorded(turn, state):
                    yield state
                stored = state.stored
            if state.outcome is Outcome.APPLIED and turn is None:
                await gate.confirm(epoch)
        finally:
            after = _resolved(write, resolve)
            gate.leave(after if before == after else Write(Effect.UNKNOWN), state.outcome)
    if stored is not None:
        await stored


@asynccontextmanager
async def _recorded(turn: Turn, state: Passage) -> AsyncIterator[None]:
    """Record what came of a write that went to the engine, whatever that is."""
    turn.send()
    try:
        yield
    finally:
        if state.outcome is not Outcome.APPLIED:
            turn.give_up(state.outcome)
    if state.outcome is Outcome.APPLIED:
        state.stored = await turn.record(state.answer)


def _refuse_unstreamable(write: Write) -> None:
    """Refuse to make a collection that Qdrant could not stream: while it exists every backup would fail.

    Qdrant takes names of up to 255 bytes, but its stream's temporary file is named after the collection, with about
    fifty bytes more (seen on 1.19.0: "File name too long" from 207 bytes on).
    """
    if write.effect is Effect.REPLACE and len((write.collection or "").encode()) > _LONGEST_NAME_BYTES:
        reason = f"a collection's name may have at most {_LONGEST_NAME_BYTES} bytes: a longer one cannot be backed up"
        raise Refused(reason, retry_after=1)


def takes_place(write: Write | None) -> bool:
    """Tell whether a request has to wait for the gate.

    What changes nothing that a backup keeps does not: a stock snapshot may take minutes, and a backup's
    barrier would wait for it.
    """
    return write is not None and write.effect is not Effect.NOTHING


def _resolved(write: Write, resolve: Callable[[str], str]) -> Write:
    return write if write.collection is None else replace(write, collection=resolve(write.collection))
