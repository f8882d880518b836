"""`polar-tools why ARTIFACT`: what would run, and which key or byte caused it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.queries.why import Reason


@click.command("why")
@click.argument("artifact", required=False, shell_complete=completing.artifacts)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), default="config/config.yaml", help="The config that is planned.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(artifact: str | None, config: Path, as_json: bool) -> None:
    """Say why ARTIFACT would be made by `snakemake`, or of everything that would be: which key, file or byte changed, old -> new.

    What would only be made because of its inputs leads to these, down to where it begins. Nothing is written.

    \b
      polar-tools why results/describe/seed0/train
      polar-tools why
    """
    import json

    from polar_tools import config as configuration
    from polar_tools.plan import Plan
    from polar_tools.queries import project, why

    reasons = why.of(Plan(configuration.load(config)), Path())
    asked = list(reasons.values()) if artifact is None else why.asked(reasons, project.named(Path(), artifact))
    shown = [one for one in asked if one.runs]
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in shown], indent=2, ensure_ascii=False))
    elif not shown:
        click.echo(f"{f'{artifact} would not run' if artifact else 'nothing would run'}: it is made from what the config asks for")
    else:
        click.echo("\n".join(lines(shown) if artifact else beginnings(shown)))


def lines(reasons: list[Reason]) -> Iterator[str]:
    """Each artifact with its own causes, and the inputs through which it is reached."""
    from polar_tools.queries import why

    for one in reasons:
        yield f"{one.path} would run:"
        yield from (f"  {line}" for cause in one.causes for line in why.in_words(cause).splitlines())
        yield from (f"  {path} would run" for path in one.through)


def beginnings(reasons: list[Reason]) -> Iterator[str]:
    """The artifacts at which something begins, then those that follow from them."""
    from dataclasses import replace

    yield from lines([replace(one, through=[]) for one in reasons if one.causes])
    if following := [one.path for one in reasons if not one.causes]:
        yield "and because of these:"
        yield from (f"  {path}" for path in following)
