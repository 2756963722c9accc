"""Plans of faults for the model store."""

from collections.abc import Callable

from runtime.errors import StoreDenied
from tests.support.model_store import Fault, FaultKind, Plan


class Faults:
    """A plan that can be told what is to happen to the next operations of a kind."""

    def __init__(self) -> None:
        self._planned: list[tuple[str, Fault]] = []
        self.down = False

    def next(self, verb: str, kind: FaultKind, *, times: int = 1) -> None:
        """Let the next operations with this verb fail in this way."""
        self._planned += [(verb, Fault(kind))] * times

    def __call__(self, _number: int, verb: str, _name: str) -> Fault | None:
        """Return what happens to this operation."""
        if self.down:
            return Fault(FaultKind.FAIL_BEFORE)
        for planned in self._planned:
            if planned[0] == verb:
                self._planned.remove(planned)
                return planned[1]
        return None


def denied() -> Exception:
    """Return what a store raises that refuses the account."""
    return StoreDenied("The model refuses", hint="Planned by the test")


def always(verb: str, error: Callable[[], Exception], kind: FaultKind = FaultKind.FAIL_BEFORE) -> Plan:
    """Return the plan in which a verb always fails."""
    return lambda _number, asked, _name: Fault(kind, error=error) if asked == verb else None
