"""The page says what was measured, and the same figures give the same bytes."""

from pathlib import Path

from bench import page
from bench.goals import Goal
from bench.report import Figure, Line, Plot, Subject

MISSED = Figure("a.slow", "slow thing", "×", [2.0, 3.0, 2.0], Goal(1.5, missed="Because of this."))
MET = Figure("a.fast", "fast thing", "×", [1.0], Goal(1.5, missed="Never printed."))
EXPLAINS = Figure("a.part", "  part of it", "s", [0.25])
CURVE = Plot("curve", "A curve", "x", "y", [Line("one", [1, 10], [[1.0, 2.0], [3.0]])], log=True)
BARS = Plot("bars", "Bars", "", "s", [Line("one", [0, 1], [[1.0], [2.0]]), Line("two", [0, 1], [[2.0], [1.0]])])
SUBJECT = Subject("a", "A subject", "under conditions", [MISSED, MET, EXPLAINS], [CURVE, BARS])


def written(folder: Path) -> tuple[str, dict[str, bytes]]:
    """Write the page into a folder; return it and its pictures by name."""
    folder.mkdir()
    file = folder / "benchmarks.md"
    page.write(file, "a machine", "an engine", [SUBJECT], 3.2)
    return file.read_text(), {path.name: path.read_bytes() for path in (folder / "benchmarks").iterdir()}


def test_a_miss_is_told_with_its_reason_and_what_is_met_without(tmp_path: Path) -> None:
    """Nobody has to look for what was missed, by how much, and why."""
    text, _ = written(tmp_path / "docs")
    assert "1 of 2 are met" in text
    assert "| A subject: slow thing | 2 × | ≤ 1.5 × | **missed by 0.5 × (33%)** |" in text
    assert "- **slow thing**, missed by 0.5 × (33%). Because of this." in text
    assert "Never printed." not in text
    assert "| &nbsp;&nbsp;part of it | 0.25 s |" in text


def test_every_picture_is_there_and_shown(tmp_path: Path) -> None:
    """The page links to what lies beside it."""
    text, pictures = written(tmp_path / "docs")
    assert pictures.keys() == {"curve.svg", "bars.svg"}
    assert all(f"](benchmarks/{name})" in text for name in pictures)


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """No date, no random name: a run that found the same changes nothing in the repository."""
    assert written(tmp_path / "one") == written(tmp_path / "two")
