"""What is wrong with a stack's configuration, told at once.

Owns the collecting and the wording. Does not know any option: those are in `components.options`.
"""

from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True)
class Problem:
    """One wrong value: which key, what it holds, why that cannot work, and what to do."""

    key: str
    value: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value or '(not set)'}: {self.reason}. Fix: {self.fix}"


class ConfigProblems(pulumi.RunError):
    """The configuration cannot be deployed; every problem is listed, nothing was changed.

    A RunError, because Pulumi prints its message alone, without a trace of this program.
    """

    def __init__(self, stack: str, problems: list[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{count} in the configuration of stack {stack}; nothing was changed.\n{lines}")
        self.problems = tuple(problems)


@dataclass
class Findings:
    """Problems as they are found, so that the last is told with the first."""

    values: dict[str, str]
    found: list[Problem] = field(default_factory=list)
    hidden: frozenset[str] = frozenset()

    def add(self, key: str, reason: str, *, fix: str) -> None:
        """Note that the value of key cannot work."""
        value = self.values.get(key, "")
        shown = f"(secret, {len(value)} characters)" if key in self.hidden and value else value
        self.found.append(Problem(key, shown, reason, fix))

    def about(self, key: str) -> bool:
        """Whether key has a problem already: a second one that follows from it helps nobody."""
        return any(problem.key == key for problem in self.found)
