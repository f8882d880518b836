"""`polar-tools rank SPEC`: the stage rank."""

from pathlib import Path

import click

from polar_tools import options


@click.command("rank")
@options.spec_argument()
def command(spec: Path) -> None:
    """Rank training rows by the loss of the untouched model, the hardest first, as SPEC says.

    \b
      polar-tools rank results/NAME/rank/spec.json
    """
    options.run_stage("rank", spec)
