"""`polar-tools diff A B`: how do two results differ?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.queries.data_difference import RowChanges
    from polar_tools.queries.difference import Difference

SHOWN = 4
"""Artifacts and files that are named."""


@click.command("diff")
@click.argument("a", shell_complete=completing.artifacts)
@click.argument("b", shell_complete=completing.artifacts)
@click.option("--samples", type=click.IntRange(min=0), default=3, show_default=True, help="Rows of each kind that are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(a: str, b: str, samples: int, as_json: bool) -> None:
    """Say how B differs from A: settings, rows that were added, removed, changed or moved, libraries, files, metrics with their intervals.

    Each is an artifact's folder, an experiment or one run of it (`describe`, `describe/seed0`), the folder of a project, a commit, branch
    or tag of this repository (its config, and results only where git has them: `dvc pull` in a clone brings them), or a config file.
    Whether a difference of metrics is more than chance, `polar-tools compare` says.

    \b
      polar-tools diff describe describe-lora
      polar-tools diff HEAD~1 .
      polar-tools diff ../yesterday/results/describe/seed0/evaluate/descriptions results/describe/seed0/evaluate/descriptions
    """
    import json

    from polar_tools.queries import difference, sides

    with sides.side(a) as one, sides.side(b) as other:
        found = difference.between(one, other)
    if as_json:
        click.echo(json.dumps({"a": a, "b": b, **found.as_dict(samples)}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(found, samples)) or "no difference")


def lines(found: Difference, samples: int) -> Iterator[str]:
    """A difference for people, most important first."""
    for title, changed in (("settings", found.settings), ("libraries", found.libraries)):
        if changed:
            yield f"{title}:"
        for change, where in changed.values():
            yield f"  {change}" + (
                f"  (in {', '.join(where[:3])}{f' and {len(where) - 3} more' if len(where) > 3 else ''})" if where else ""
            )
    for path, rows in found.rows.items():
        yield f"rows of {path}: {rows.rows[0]} -> {rows.rows[1]}; " + ", ".join(f"{count} {kind}" for kind, count in rows.counts().items())
        yield from _rows(rows, samples)
    yield from _metrics(found)
    for path, files in found.files.items():
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        yield f"other files in {path}: {', '.join(files[:SHOWN])}{more}"
    for title, paths in (("only A has", found.only[0]), ("only B has", found.only[1])):
        if paths:
            yield f"{title}: {', '.join(paths)}"


def _rows(rows: RowChanges, samples: int) -> Iterator[str]:
    """The first rows of each kind."""
    from polar_tools.funnel import readable
    from polar_tools.queries.keys import changes, shown

    yield from (f"  + {part}: {shown(readable(row))}" for part, row in rows.added[:samples])
    yield from (f"  - {part}: {shown(readable(row))}" for part, row in rows.removed[:samples])
    for key, old, new in rows.changed[:samples]:
        yield f"  ~ {key} {shown(readable(old[key]))}"
        yield from (f"      {change}" for change in changes(readable(old), readable(new)))
    yield from (f"  {old} -> {new}: {shown(readable(row))}" for old, new, row in rows.moved[:samples])


def _metrics(found: Difference) -> Iterator[str]:
    from polar_tools.queries.figures import written

    differing = [(path, old, new) for path, old, new in found.metrics if old.value != new.value]
    if found.metrics and not differing:
        yield f"metrics: all {len(found.metrics)} are the same"
    for path, old, new in differing:
        ends = written(old.value, old.interval), written(new.value, new.interval)
        yield f"{path} {new.metric}: {ends[0]} -> {ends[1]}  ({new.value - old.value:+.6g})"
