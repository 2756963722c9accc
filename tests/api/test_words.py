import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.api import chart, words

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_310_720, "1.3 MB"), (999_499, "999 kB"), (999_999, "1.0 MB"),
        (120_000_000, "120 MB"), (25_276_502_016, "25.3 GB"), (5e15, "5000 TB"), (None, "unknown"),
    ],
)  # fmt: skip
def test_bytes_are_told_in_a_unit_people_read(count: float | None, said: str) -> None:
    """One to three digits before the point, with the unit."""
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0004, "0 ms"), (0.31, "310 ms"), (1.5, "1.5 s"), (5.0, "5 s"), (59.6, "60 s"), (119, "119 s"),
        (600, "10 min"), (7200, "2 h"), (200_000, "2 days"), (None, "never"),
    ],
)  # fmt: skip
def test_durations_are_told_in_a_unit_people_read(seconds: float | None, said: str) -> None:
    """Milliseconds to days, never more than a few characters."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("2026-11-22T11:59:00+00:00", 60.0),
        ("2026-11-22T11:59:00Z", 60.0),
        ("2026-11-22T11:59:00", 60.0),
        ("2026-11-22T13:00:00+00:00", 0.0),
        ("soon", None),
    ],
)
def test_an_age_is_never_negative(moment: str, seconds: float | None) -> None:
    """A clock that runs ahead makes an age of nothing; what is no moment has no age."""
    assert words.age(moment, NOW) == seconds


JOURNAL = {"error": None, "failing_seconds": None}


def health(**more: Any) -> dict[str, Any]:
    """Return what a calm writer says of itself, changed."""
    backup = {"unsaved_writes": 0, "unsaved_seconds": None, "target_seconds": 60.0, "last_error": None}
    return {
        "status": "ok", "role": "writer", "lost_writes": 0, "restore": None, "store": {"error": None},
        "journal": None, **more, "backup": backup | more.get("backup", {}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "level", "title"),
    [
        ({}, "good", "Your data is safe"),
        ({"backup": {"unsaved_writes": 2, "unsaved_seconds": 3.0}}, "wait", "Your data is being saved"),
        ({"role": "standby"}, "good", "Standing by"),
        ({"role": "restoring", "status": "unavailable"}, "wait", "The instance is restoring"),
        ({"status": "unavailable"}, "wait", "The instance is starting its engine again"),
        ({"status": "degraded", "backup": {"last_error": "why"}}, "bad", "Backups are late"),
        ({"status": "degraded", "store": {"error": "403"}}, "bad", "The bucket does not answer"),
        ({"journal": JOURNAL, "backup": {"unsaved_writes": 2}}, "good", "Your data is safe"),
        ({"journal": {"error": "503", "failing_seconds": 2.0}}, "bad", "Writes are refused"),
        ({"journal": {"error": "503", "failing_seconds": None}}, "bad", "Writes are refused"),
        ({"lost_writes": 3}, "bad", "Writes were lost"),
        ({"restore": {"damaged": ["x"]}}, "bad", "An older backup was restored"),
        ({"restore": {"damaged": []}}, "good", "Your data is safe"),
    ],
)
def test_the_page_answers_the_one_question(changes: dict[str, Any], level: str, title: str) -> None:
    """Whatever is wrong is said first, and 'safe' only when every acknowledged write is in the bucket."""
    verdict = words.verdict(health(**changes))

    assert (verdict.level, verdict.title) == (level, title)
    assert verdict.sentence


VALUES = st.none() | st.floats(0, 1e15)


@given(values=st.lists(VALUES, max_size=40), target=st.none() | st.floats(0.1, 1e6))
def test_every_bar_is_inside_its_row(values: list[float | None], target: float | None) -> None:
    """Whatever the figures: bars and target line lie within the drawing, in order, and each one is seen."""
    row = chart.row([(value, "words") for value in values], target)

    assert len(row.bars) == sum(value is not None for value in values)
    for bar in row.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= chart.WIDTH + 0.02
        assert 1.9 <= bar.height <= chart.HEIGHT + 0.01
        assert bar.y + bar.height == pytest.approx(chart.HEIGHT, abs=0.02)
    assert [bar.x for bar in row.bars] == sorted(bar.x for bar in row.bars)
    assert row.line is None or 0 <= row.line <= chart.HEIGHT


def test_a_bar_beyond_the_target_is_marked() -> None:
    """Exactly those older than allowed are drawn in the colour of trouble."""
    row = chart.row([(5.0, ""), (10.0, ""), (20.0, "")], 10.0)

    assert [bar.beyond for bar in row.bars] == [False, False, True]
    assert row.line == 50.0
