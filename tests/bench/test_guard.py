"""The guard tells a ratio that moved from one that did not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.expectations import expectations, problems
from bench.goals import goals
from bench.report import Figure
from bench.slope import slope

NUMBERS = st.floats(-1e3, 1e3)


def test_a_ratio_within_its_bounds_is_no_problem() -> None:
    """Both ends belong to it."""
    figures = [Figure("a.low", "low", "×", [0.5]), Figure("a.high", "high", "×", [2.0])]
    assert not problems(figures, {"a.low": (0.5, 2.0), "a.high": (0.5, 2.0)})


@pytest.mark.parametrize("value", [0.49, 2.01])
def test_a_ratio_outside_its_bounds_is_named(value: float) -> None:
    """Too good is told, too: then the measurement is broken, or the bounds are old."""
    [said] = problems([Figure("a.b", "what it is", "×", [value])], {"a.b": (0.5, 2.0)})
    assert "what it is" in said
    assert "expected 0.5 to 2" in said


def test_what_was_not_measured_is_a_problem() -> None:
    """A figure that lost its key must not pass for one that is as expected."""
    assert problems([], {"a.b": (0.5, 2.0)}) == ["a.b: expected, but not measured"]


def test_an_absolute_time_is_never_compared() -> None:
    """It belongs to a machine."""
    [said] = problems([Figure("a.b", "time", "s", [1.0])], {"a.b": (0.5, 2.0)})
    assert "only ratios" in said


def test_the_expectations_that_are_checked_in_can_be_read() -> None:
    """Every pair is one, and there are some of every subject that matters."""
    assert {key.split(".")[0] for key in expectations()} >= {"restore", "full", "increments", "edge"}
    assert goals()


@given(per_unit=NUMBERS, at_zero=NUMBERS, x=st.lists(st.integers(0, 100), min_size=2, max_size=6, unique=True))
def test_a_straight_line_is_found_again(per_unit: float, at_zero: float, x: list[int]) -> None:
    """Samples on a line have its slope, however they lie around it by equal amounts."""
    found = slope(x, [[at_zero + per_unit * place - 1, at_zero + per_unit * place + 1] for place in x])
    assert found.per_unit == pytest.approx(per_unit, abs=1e-4)
    assert found.at_zero == pytest.approx(at_zero, abs=1e-2)


def test_one_place_has_no_slope() -> None:
    """It is refused instead of made up."""
    with pytest.raises(ValueError, match="two places"):
        slope([1.0], [[1.0, 2.0]])
