"""`polar-tools lineage PATH`, or `lineage EXPERIMENT/RUN EVALUATION METRIC`: from what was this made?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.provenance import Node


@click.command("lineage")
@click.argument("what", metavar="PATH|EXPERIMENT/RUN", shell_complete=completing.artifacts)
@click.argument("evaluation", required=False, shell_complete=completing.evaluations)
@click.argument("metric", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the chain as JSON.")
def command(what: str, evaluation: str | None, metric: str | None, as_json: bool) -> None:
    """Print the chain of records from the artifacts at PATH, or from a number, down to the sources and their hashes.

    A number is named as the report has it: the run, the evaluation, the metric. Behind its chain stands what it begins with: the commit
    of each repository, or the sha256 of the package's archive, and of each file.

    \b
      polar-tools lineage results/describe/seed0/train
      polar-tools lineage describe/seed0 descriptions rougeL
    """
    import json

    from polar_tools import provenance

    if evaluation is None and Path(what).exists():
        chains = [provenance.lineage(folder) for folder in provenance.artifacts_in(Path(what))]
        seen: set[str] = set()
        lines = [line for chain in chains for line in tree(chain, seen)]
        told: Any = [chain.as_dict() for chain in chains]
    else:
        told, lines = _of_number(what, evaluation, metric)
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


def _of_number(run: str, evaluation: str | None, metric: str | None) -> tuple[dict[str, Any], list[str]]:
    """The chain of a number, for a program and for people."""
    from polar_tools import provenance
    from polar_tools.queries import figures

    made, figure = figures.find(Path(), run, evaluation, metric)
    chain = provenance.lineage(made.folder)
    sources = figures.sources(chain)
    found = list(figures.of(made).values()) if figure is None else [figure]
    lines = [*map(str, found), f"  report.json  sha256 {found[0].report_sha256}", "", *tree(chain, set()), "", "It begins with:"]
    for source in sources:
        lines += [f"  {source['path']}", *(f"    {name}: {value}" for name, value in source.items() if name not in ("path", "files"))]
    return {"figures": [one.as_dict() for one in found], "chain": chain.as_dict(), "sources": sources}, lines


def tree(node: Node, seen: set[str], indent: str = "") -> Iterator[str]:
    """The chain as lines, each artifact above what it was made from; what was shown before is only named."""
    if node.path in seen:
        yield f"{indent}{node.path}  (see above)"
        return
    seen.add(node.path)
    yield f"{indent}{node.path}  record {node.record_sha256[:12]}"
    source = node.record["facts"].get("source", {})
    below = [f"{name}: {value}" for name, value in source.items()]
    below += [f"{name}  sha256 {entry['sha256']}" for name, entry in node.record["files"].items()] if source else []
    yield from (f"{indent}  {line}" for line in below)
    for part in node.inputs:
        yield from tree(part, seen, indent + "  ")
