"""What a benchmark found: medians with their spread beside the goal, as a table or as JSON.

Owns the form of a figure. Judges it against its goal, but fails nothing: these are measurements, not tests.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WIDTH = 58


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its samples, and the most it should be (`at_least`: the least). No goal: it explains another."""

    what: str
    unit: str
    samples: Sequence[float]
    goal: float | None = None
    at_least: bool = False
    worst: bool = False

    @property
    def value(self) -> float:
        """The median, or with `worst` the largest sample."""
        return max(self.samples) if self.worst else statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None when there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass(frozen=True, slots=True)
class Subject:
    """What one subject found, and the conditions a reader has to know."""

    name: str
    figures: Sequence[Figure]
    conditions: str


def ratios(measured: Iterable[float], reference: Iterable[float]) -> list[float]:
    """Return each measurement over the reference taken next to it."""
    return [one / other for one, other in zip(measured, reference, strict=True)]


def as_table(subject: Subject, seconds: float) -> str:
    """Return a subject as text."""
    lines = [f"\n{subject.name} ({subject.conditions}; took {seconds:.0f} s)"]
    for figure in subject.figures:
        spread = f"{_number(min(figure.samples))} to {_number(max(figure.samples))}, n={len(figure.samples)}"
        judged = "" if figure.goal is None else _judged(figure)
        kind = "worst " if figure.worst else ""
        lines.append(
            f"  {figure.what:{_WIDTH}} {kind}{_number(figure.value)} {figure.unit:3} ({spread}){judged}".rstrip()
        )
    return "\n".join(lines)


def as_json(engine: str, subjects: Sequence[Subject]) -> str:
    """Return everything as one JSON document."""
    found = [
        {
            "subject": subject.name,
            "conditions": subject.conditions,
            "figures": [
                {
                    "what": figure.what,
                    "unit": figure.unit,
                    "value": figure.value,
                    "of": "worst" if figure.worst else "median",
                    "samples": list(figure.samples),
                    "goal": figure.goal,
                    "at_least": figure.at_least,
                    "met": figure.met,
                }
                for figure in subject.figures
            ],
        }
        for subject in subjects
    ]
    return json.dumps({"engine": engine, "subjects": found}, indent=2)


def _judged(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    return f"  goal {sign} {figure.goal:g} {figure.unit}: {'met' if figure.met else 'MISSED'}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
