"""The report as a page: `docs/benchmarks.md` and its pictures.

Owns where what goes. The words are `benchmarks.md.j2`'s, and none of them depends on a number that was measured.
"""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from bench.plots import draw
from bench.report import Subject


def write(page: Path, machine: str, engine: str, subjects: Sequence[Subject], minutes: float) -> None:
    """Write the page and, in a folder of its name beside it, its pictures."""
    pictures = page.with_suffix("")
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for subject in subjects:
        for plot in subject.plots:
            draw(plot, pictures)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own figures
    )
    judged = [(subject, figure) for subject in subjects for figure in subject.figures if figure.goal]
    page.write_text(
        environment.get_template("benchmarks.md.j2").render(
            engine=engine,
            machine=machine,
            subjects=subjects,
            judged=judged,
            missed=[figure for _, figure in judged if not figure.met],
            minutes=round(minutes),
            pictures=pictures.name,
        )
    )
