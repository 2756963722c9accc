"""What a benchmark found: medians with their spread beside the goal, as a table or as JSON.

Owns the form of a figure. Judges it against its goal, but fails nothing: these are measurements, not tests.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bench.goals import Goal, goals

RATIO = "×"
_WIDTH = 66


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its samples, and its goal. No goal: it explains another."""

    key: str
    what: str
    unit: str
    samples: Sequence[float]
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """The median, or where the goal is never to be exceeded the largest sample."""
        return max(self.samples) if self.goal and self.goal.worst else statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None when there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal.limit if self.goal.at_least else self.value <= self.goal.limit

    @property
    def missed_by(self) -> str:
        """By how much the goal is missed; empty when it is not."""
        if self.goal is None or self.met:
            return ""
        off = abs(self.value - self.goal.limit)
        return f"{_number(off)} {self.unit}" + (f" ({off / self.goal.limit:.0%})" if self.goal.limit else "")

    @property
    def said(self) -> str:
        """The value and its unit, for people."""
        return f"{_number(self.value)} {self.unit}".rstrip()

    @property
    def spread(self) -> str:
        """The smallest and the largest sample, for people."""
        return f"{_number(min(self.samples))} to {_number(max(self.samples))}" if len(self.samples) > 1 else ""

    @property
    def goal_said(self) -> str:
        """The goal, for people."""
        if self.goal is None:
            return ""
        worst = "always " if self.goal.worst else ""
        return f"{worst}{'≥' if self.goal.at_least else '≤'} {self.goal.limit:g} {self.unit}".rstrip()

    @property
    def judged(self) -> str:
        """Met or missed, for people."""
        return {None: "", True: "met", False: f"missed by {self.missed_by}"}[self.met]


@dataclass(frozen=True, slots=True)
class Line:
    """A series in a plot: x, and at each of them all samples of y."""

    label: str
    x: Sequence[float]
    y: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture to be drawn. `log`: both axes are logarithmic. `ticks`: names of the places on x, drawn as bars."""

    name: str
    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log: bool = False
    ticks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What one subject found, and the conditions a reader has to know."""

    name: str
    title: str
    conditions: str
    figures: Sequence[Figure]
    plots: Sequence[Plot] = ()


def figure(key: str, what: str, unit: str, samples: Iterable[float]) -> Figure:
    """Return a figure with its goal, if it has one."""
    return Figure(key, what, unit, list(samples), goals().get(key))


def ratios(measured: Iterable[float], reference: Iterable[float]) -> list[float]:
    """Return each measurement over the reference taken next to it."""
    return [one / other for one, other in zip(measured, reference, strict=True)]


def slowest_hundredth(latencies: Sequence[float]) -> float:
    """Return the 99th percentile; of a single sample, the sample."""
    return statistics.quantiles(latencies, n=100, method="inclusive")[98] if len(latencies) > 1 else latencies[0]


def as_table(subject: Subject, seconds: float) -> str:
    """Return a subject as text."""
    lines = [f"\n{subject.title} ({subject.conditions}; took {seconds:.0f} s)"]
    for found in subject.figures:
        spread = f"{found.spread}, n={len(found.samples)}" if found.spread else f"n={len(found.samples)}"
        judged = f"  goal {found.goal_said}: {found.judged}" if found.goal else ""
        lines.append(f"  {found.what:{_WIDTH}} {found.said:12} ({spread}){judged}")
    return "\n".join(lines)


def as_json(engine: str, subjects: Sequence[Subject]) -> str:
    """Return everything as one JSON document."""
    found = [
        {
            **asdict(subject),
            "figures": [
                {
                    **asdict(one),
                    "value": one.value,
                    "of": "worst" if one.goal and one.goal.worst else "median",
                    "met": one.met,
                }
                for one in subject.figures
            ],
        }
        for subject in subjects
    ]
    return json.dumps({"engine": engine, "subjects": found}, indent=2)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
