"""`polar-tools lineage PATH`: from what was this made?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from polar_tools.provenance import Node


@click.command("lineage")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print the chain as JSON.")
def command(path: Path, as_json: bool) -> None:
    """Print the chain of records from the artifacts at PATH down to the sources and their hashes."""
    import json

    from polar_tools import provenance

    chains = [provenance.lineage(folder) for folder in provenance.artifacts_in(path)]
    if as_json:
        click.echo(json.dumps([chain.as_dict() for chain in chains], indent=2, ensure_ascii=False))
        return
    seen: set[str] = set()
    for chain in chains:
        click.echo("\n".join(tree(chain, seen)))


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
