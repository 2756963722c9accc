"""Pictures of what was measured, as SVG: the same figures give the same bytes.

Owns how a plot looks. The only place that imports matplotlib.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from bench.report import Line, Plot

mpl.use("svg")
# Names of elements come from a hash with a random salt, and text from whatever fonts there are, unless told otherwise.
mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10})

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of what it draws for
from matplotlib.axes import Axes  # noqa: E402

_INCHES = (6.4, 3.6)


def draw(plot: Plot, folder: Path) -> Path:
    """Draw a plot into a folder; returns the file. Points are medians, bars go from the smallest to the largest."""
    drawing, axes = plt.subplots(figsize=_INCHES, layout="constrained")
    for number, line in enumerate(plot.lines):
        if plot.ticks:
            _bars(axes, line, number, len(plot.lines))
        else:
            middle, spread = _spread(line.y)
            axes.errorbar(line.x, middle, yerr=spread, marker="o", capsize=3, label=line.label)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    if plot.ticks:
        axes.set_xticks(range(len(plot.ticks)), labels=plot.ticks)
    if plot.log:
        axes.set(xscale="log", yscale="log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    file = folder / f"{plot.name}.svg"
    drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(drawing)
    return file


def _bars(axes: Axes, line: Line, number: int, lines: int) -> None:
    width = 0.8 / lines
    middle, spread = _spread(line.y)
    places = [place + (number - (lines - 1) / 2) * width for place in line.x]
    axes.bar(places, middle, width, yerr=spread, capsize=3, label=line.label)


def _spread(samples: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    middle = [statistics.median(one) for one in samples]
    below = [m - min(one) for m, one in zip(middle, samples, strict=True)]
    above = [max(one) - m for m, one in zip(middle, samples, strict=True)]
    return middle, [below, above]
