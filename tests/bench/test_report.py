"""What the benchmarks print is what was measured."""

import json
from dataclasses import replace

import pytest
from qdrant_client import grpc as messages

from bench import points, report, workloads
from bench.goals import Goal, goals
from bench.report import Figure, Subject

ENOUGH = Figure("a.enough", "enough", "×", [0.9, 1.0, 5.0], Goal(1.0))
WORST = replace(ENOUGH, goal=Goal(4.9, worst=True))


def test_a_figure_is_judged_by_its_median_or_its_worst_sample() -> None:
    """One slow run does not miss a median's goal, and does miss a goal that is never to be exceeded."""
    assert (ENOUGH.value, ENOUGH.met) == (1.0, True)
    assert (WORST.value, WORST.met) == (5.0, False)


@pytest.mark.parametrize(("least", "met"), [(0.95, True), (1.05, False)])
def test_a_least_is_judged_the_other_way_round(least: float, met: object) -> None:
    """Throughput below its least is a miss, above it is none."""
    assert Figure("a.b", "throughput", "×", [1.0], Goal(least, at_least=True)).met is met


def test_a_miss_says_by_how_much() -> None:
    """A reader needs no arithmetic; a goal of nothing has no share of itself."""
    assert Figure("a.b", "slow", "×", [2.0], Goal(1.5)).judged == "missed by 0.5 × (33%)"
    assert Figure("a.b", "disk", "×", [0.2], Goal(0.0)).judged == "missed by 0.2 ×"


def test_a_figure_that_only_explains_is_not_judged() -> None:
    """Without a goal it is neither met nor missed, in the table and in the document."""
    subject = Subject("one", "One", "conditions", [Figure("a.part", "part", "×", [0.5]), ENOUGH])
    lines = report.as_table(subject, 1.0).splitlines()
    assert "goal" not in lines[2]
    assert lines[3].endswith("goal ≤ 1 ×: met")
    figures = json.loads(report.as_json("engine", [subject]))["subjects"][0]["figures"]
    assert [figure["met"] for figure in figures] == [None, True]


def test_the_slowest_hundredth_is_never_slower_than_the_slowest() -> None:
    """Few samples are not extrapolated."""
    assert report.slowest_hundredth([1.0, 2.0, 10.0]) <= 10.0
    assert report.slowest_hundredth([3.0]) == 3.0


def test_every_goal_that_may_be_missed_often_has_its_reason() -> None:
    """The goals of the edge depend on the machine: a miss there is never left unexplained."""
    unexplained = [key for key, goal in goals().items() if key.startswith("edge.") and not goal.missed]
    assert not unexplained


def test_a_message_joined_from_parts_is_what_the_library_makes() -> None:
    """Points written fast are the points meant: ids beyond one byte, and the vector of each."""
    message = messages.UpsertPoints.FromString(points.upsert_message("c", [3, 70_000], shift=1))
    assert (message.collection_name, message.wait) == ("c", True)
    assert [point.id.num for point in message.points] == [3, 70_000]
    wanted = points.vectors([70_000], shift=1)[0]
    assert list(message.points[1].vectors.vector.dense.data) == wanted.tolist()


def test_no_two_vectors_are_alike() -> None:
    """A tool that spares what it has seen finds nothing to spare, and a change changes every vector."""
    made = points.vectors(range(3000))
    assert len({vector.tobytes() for vector in made}) == 3000
    assert not (made == points.vectors(range(3000), shift=1)).all(axis=1).any()


def test_a_change_touches_the_share_it_says() -> None:
    """One percent of 20 collections of 100 points is 20 points, and at least one point changes."""
    assert sum(map(len, workloads.many(20).changed(0.01, 3).values())) == 20
    assert sum(map(len, workloads.many(1).changed(0.0001, 0).values())) == 1
