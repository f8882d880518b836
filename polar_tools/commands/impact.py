"""`polar-tools impact REPO|ROW`: what came of it, and must go when it is withdrawn?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.queries.impact import Impact


@click.command("impact")
@click.argument("what", metavar="REPO|ROW", shell_complete=completing.sources)
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".", help="The project's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(what: str, root: Path, as_json: bool) -> None:
    """List everything that came of a source or of a row: what must go when that is withdrawn.

    REPO is a source by its URI, ORG/NAME, commit or sha256, or its name in the config. ROW is the hash of a row as predictions.jsonl has
    it in `row` (8 letters or more), COLUMN=TEXT for the whole text of a column, or COLUMN~TEXT for a part of it; the column's name is the
    source's or the config's. A row is followed through filters and splits: what only read other rows is not listed.

    \b
      polar-tools impact hf://datasets/org/name
      polar-tools impact 'answer~Jane Doe'
    """
    import json

    from polar_tools.queries import impact

    found = impact.of(what, root)
    click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if as_json else "\n".join(lines(found)))


def lines(found: Impact) -> Iterator[str]:
    """What was found, for people."""
    if not found.affected:
        yield f"no data here holds a row {found.what}"
        return
    yield f"{len(found.affected)} artifacts came of {found.what}:"
    for path, why in found.affected.items():
        yield f"  {path}  ({found.stages[path]})"
        yield from (f"    {reason}" for reason in why)
    for title, told in (("published", found.published), ("told to trackers", found.tracked)):
        if told:
            yield f"{title}:"
            yield from ("  " + ", ".join(f"{name} {value}" for name, value in one.items()) for one in told)
    for title, folders in (("set aside, of another spec", found.set_aside), ("begun and not finished", found.unmade)):
        if folders:
            yield f"{title}:"
            yield from (f"  {folder}" for folder in folders)
