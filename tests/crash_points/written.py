"""What was written and what of it was acknowledged: every state that a fresh start may come to.

Owns the judgement, collection by collection, since only one collection's writes have an order: a start holds what was
applied up to some moment, not before the last acknowledgement. What was deleted is back in no such state.
"""

import json

from tests.crash_points.engine import ALIASES, State


class History:
    """One lineage's. A state is what `DiskEngine.state` returns."""

    def __init__(self) -> None:
        self._states: dict[str, list[State]] = {ALIASES: [{ALIASES: "{}"}]}
        self._at_least: dict[str, int] = {}

    def settle(self, state: State) -> None:
        """Note what the next writer opened with: that is what counts, for everybody and for ever."""
        self._states.update({name: [_part(state, name)] for name in {*self._states, *_names(state)}})
        self._at_least = {}

    def take(self, other: "History") -> None:
        """Go on from what another tells."""
        self._states = {name: list(states) for name, states in other._states.items()}
        self._at_least = dict(other._at_least)

    def applied(self, collection: str | None, state: State) -> int:
        """Note what an engine holds of the collection after a write; return the write's place."""
        states = self._states.setdefault(collection or ALIASES, [{}])
        states.append(state)
        return len(states) - 1

    def acknowledged(self, collection: str | None, place: int | None) -> None:
        """Note that a client was told that a write is done."""
        name = collection or ALIASES
        self._at_least[name] = max(self._at_least.get(name, 0), place or 0)

    def wrong(self, state: State) -> str | None:
        """Say what is wrong with what a fresh start holds, if anything is."""
        for name in sorted({*self._states, *_names(state)}):
            found = _part(state, name)
            states, least = self._states.get(name, [{}]), self._at_least.get(name, 0)
            if found not in states[least:]:
                told = json.dumps(found, sort_keys=True)[-400:]
                when = "an earlier state" if found in states else "no state that it ever had"
                return f"{name} holds {when}, {len(states)} states, acknowledged up to {least}: {told}"
        return None


def _names(state: State) -> set[str]:
    """Return the collections of a state, and `aliases`."""
    return {path.partition("/")[0] for path in state}


def _part(state: State, name: str) -> State:
    """Return what belongs to one collection, or the aliases."""
    return {path: content for path, content in state.items() if path.partition("/")[0] == name}
