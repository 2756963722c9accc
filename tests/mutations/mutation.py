"""One planted bug: which text becomes which, who had the bug, and what must fail then.

Owns applying it and taking it back. A text that is not there exactly once is an error: the source has moved on, and
the mutation has to follow.
"""

from dataclasses import dataclass
from pathlib import Path

SIMULATION = ("-m", "tests.simulation", "0", "400")


class Drifted(Exception):
    """The text to replace is not there any more."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug. `proof` are the arguments of a Python that must fail with it, and passes without."""

    name: str
    history: str
    file: str
    edits: tuple[tuple[str, str], ...]
    proof: tuple[str, ...] = SIMULATION

    def mutated(self, root: Path) -> str:
        """Return the file's text with the bug in it. Raises Drifted."""
        text = (root / self.file).read_text()
        for original, bug in self.edits:
            if text.count(original) != 1:
                raise Drifted(f"{self.name}: {self.file} holds {original!r} {text.count(original)} times, not once")
            text = text.replace(original, bug)
        return text


def crash_points(*scenarios: str, fault: str | None = None) -> tuple[str, ...]:
    """Return the proof by these scenarios' crash points, or by those with one fault."""
    return ("-m", "tests.crash_points", *(("--fault", fault) if fault else ()), *scenarios)


def pytest(*paths: str) -> tuple[str, ...]:
    """Return the proof by these test files."""
    return ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *paths)
