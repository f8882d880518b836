"""The rules of the workflow, and what flows from one to the next, as an SVG for the documentation: `make pictures`."""

import re
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

BOX, GAP, EDGE = (104, 34), (44, 26), 12
"""Width and height of a rule, the space between two, and around all; pixels."""
STYLE = """\
rect { fill: #e8eaf6; stroke: #3f51b5; rx: 6px }
text { fill: #1a237e; font: 14px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central }
path { fill: none; stroke: #7986cb; stroke-width: 1.6 }
marker path { fill: #7986cb; stroke: none }"""
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
)

Edges = set[tuple[str, str]]


def rules(project: Path) -> Edges:
    """The rules that make something of what another made, as Snakemake says for the config of `project`."""
    told = subprocess.run(["snakemake", "--rulegraph"], cwd=project, capture_output=True, text=True, check=True).stdout  # noqa: S607
    names = dict(re.findall(r"(\d+)\[label = \"(\w+)\"", told))
    return {(names[one], names[other]) for one, other in re.findall(r"(\d+) -> (\d+)", told) if names[other] != "all"}


def direct(edges: Edges) -> Edges:
    """`edges` without those that a longer way makes needless."""
    return {
        (one, other)
        for one, other in edges
        if not any(_leads(edges, step, other) for start, step in edges if start == one and step != other)
    }


def _leads(edges: Edges, one: str, other: str) -> bool:
    return any(step == other or _leads(edges, step, other) for start, step in edges if start == one)


def columns(edges: Edges) -> list[list[str]]:
    """Rules by how many come before them on the longest way."""
    depth = dict.fromkeys(sorted({name for edge in edges for name in edge}), 0)
    for _ in depth:
        for one, other in sorted(edges):
            depth[other] = max(depth[other], depth[one] + 1)
    stacks = [[name for name in depth if depth[name] == place] for place in range(max(depth.values()) + 1)]
    rows: dict[str, float] = {}
    for stack in reversed(stacks):  # beside what comes of them, so that arrows cross less
        follow = {name: [rows[other] for one, other in direct(edges) if one == name] for name in stack}
        stack.sort(
            key=lambda name: (
                sum(follow[name]) / max(1, len(follow[name])),
                -max((depth[other] for one, other in edges if one == name), default=0),
            )
        )
        rows.update({name: row for row, name in enumerate(stack)})
    return stacks


def drawing(edges: Edges) -> str:
    """The picture, from left to right."""
    stacks = columns(edges)
    tallest = max(map(len, stacks))
    width, height = ((BOX[side] + GAP[side]) * count - GAP[side] + 2 * EDGE for side, count in enumerate((len(stacks), tallest)))
    places = {
        name: (EDGE + column * (BOX[0] + GAP[0]), (height - len(stack) * (BOX[1] + GAP[1]) + GAP[1]) / 2 + row * (BOX[1] + GAP[1]))
        for column, stack in enumerate(stacks)
        for row, name in enumerate(stack)
    }
    arrows = [_arrow(places[one], places[other]) for one, other in sorted(direct(edges))]
    boxes = [_box(name, *place) for name, place in places.items()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img">'
    return "\n".join([head, f"<style>\n{STYLE}\n</style>", TIP, *arrows, *boxes, "</svg>\n"])


def _box(name: str, x: float, y: float) -> str:
    """A rule, with its name in the middle."""
    text = f'<text x="{x + BOX[0] / 2:g}" y="{y + BOX[1] / 2:g}">{escape(name)}</text>'
    return f'<rect x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}"/>{text}'


def _arrow(one: tuple[float, float], other: tuple[float, float]) -> str:
    """A curve from the right side of a box to the left side of another."""
    (x, y), (to_x, to_y) = (one[0] + BOX[0], one[1] + BOX[1] / 2), (other[0] - 1, other[1] + BOX[1] / 2)
    bend = GAP[0] * 0.6
    start = to_x - GAP[0]  # straight on past the boxes between, where there are such
    return f'<path d="M{x:g} {y:g}H{start:g}C{start + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(drawing(rules(Path(sys.argv[1]))), encoding="utf-8")
    print(sys.argv[2])
