"""Curves as SVG that stands inside a page: no file, no font and no colour of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIBRARIES = ("matplotlib",)
LINES = 6
"""How many lines have a colour of their own: the page defines --line0 to --line5, and --axis and --grid."""
MOST = 400
"""Points of a line that are drawn."""
STYLES = ("-", "--", ":", "-.")

# matplotlib knows no CSS, so it draws in colours that stand for the page's variables.
_LINES = [f"#0001{number:02x}" for number in range(LINES)]
_AXIS, _GRID = "#000200", "#000300"
_VARIABLES = {colour: f"var(--line{number})" for number, colour in enumerate(_LINES)} | {_AXIS: "var(--axis)", _GRID: "var(--grid)"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polar",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), _AXIS),
}


@dataclass(frozen=True)
class Line:
    """A line through points (x, y). `colour` counts the page's; `style` is solid, dashed, dotted, ..."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    style: int = 0


def curves(name: str, lines: Sequence[Line], x_label: str = "") -> str:
    """Lines through their points as one <svg> element, the same bytes for the same points; of a line with many, means of neighbours.

    `name` keeps the ids of several drawings on one page apart.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 2.4), layout="constrained")
        axes = figure.add_subplot()
        for line in lines:
            colour, style, dots = _LINES[line.colour % LINES], STYLES[line.style % len(STYLES)], "o" if len(line.points) < 40 else ""
            drawn = axes.plot(*zip(*_thinned(line.points), strict=True), label=line.label, linewidth=1.6, marker=dots, markersize=2.5)
            drawn[0].set(color=colour, linestyle=style)
        axes.set_xlabel(x_label)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        if len(lines) > 1:
            axes.legend(frameon=False, ncols=2 if len(lines) <= LINES else 3)
        return _bare(figure, name)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """No more points than a drawing can show: the means of as many neighbours each."""
    if len(points) <= MOST:
        return points
    places = [round(part * len(points) / MOST) for part in range(MOST + 1)]
    lots = [list(zip(*points[start:end], strict=True)) for start, end in pairwise(places)]
    return [(fmean(xs), fmean(ys)) for xs, ys in lots]


def _bare(figure: Figure, name: str) -> str:
    """The drawing without prologue, namespaces, style sheet and metadata, its ids and colours those of the page."""
    output = io.StringIO()
    figure.savefig(output, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = output.getvalue()
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"|<defs>\s*<style.*?</style>\s*</defs>|xlink:', "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(before, f"{before}{name}-")
    return svg
