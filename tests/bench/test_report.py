"""What the benchmarks print is what was measured."""

import json

import pytest
from qdrant_client import grpc as messages

from bench import points, report
from bench.report import Figure, Subject

ENOUGH = Figure("enough", "x", [0.9, 1.0, 5.0], goal=1.0)


def test_a_figure_is_judged_by_its_median_or_its_worst_sample() -> None:
    """One slow run does not miss a median's goal, and does miss a goal that is never to be exceeded."""
    assert (ENOUGH.value, ENOUGH.met) == (1.0, True)
    worst = Figure("worst", "s", ENOUGH.samples, goal=4.9, worst=True)
    assert (worst.value, worst.met) == (5.0, False)


@pytest.mark.parametrize(("least", "met"), [(0.95, True), (1.05, False)])
def test_a_least_is_judged_the_other_way_round(least: float, met: object) -> None:
    """Throughput below its least is a miss, above it is none."""
    assert Figure("throughput", "x", [1.0], goal=least, at_least=True).met is met


def test_a_figure_that_only_explains_is_not_judged() -> None:
    """Without a goal it is neither met nor missed, in the table and in the document."""
    subject = Subject("one", [Figure("part", "x", [0.5]), ENOUGH], "conditions")
    lines = report.as_table(subject, 1.0).splitlines()
    assert "goal" not in lines[2]
    assert lines[3].endswith("goal ≤ 1 x: met")
    figures = json.loads(report.as_json("engine", [subject]))["subjects"][0]["figures"]
    assert [figure["met"] for figure in figures] == [None, True]


def test_a_miss_is_said_loudly() -> None:
    """Nobody overlooks it in a table."""
    assert "MISSED" in report.as_table(Subject("one", [Figure("slow", "x", [2.0], goal=1.5)], "c"), 1.0)


def test_a_message_joined_from_parts_is_what_the_library_makes() -> None:
    """Points written fast are the points meant: ids beyond one byte, and the vector of each."""
    message = messages.UpsertPoints.FromString(points.upsert_message("c", [3, 70_000], shift=1))
    assert (message.collection_name, message.wait) == ("c", True)
    assert [point.id.num for point in message.points] == [3, 70_000]
    wanted = points.pool()[(70_000 + 1) % len(points.pool())]
    assert list(message.points[1].vectors.vector.dense.data) == wanted
