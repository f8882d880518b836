"""`polar-tools decontaminate SPEC`: the stage decontaminate."""

from pathlib import Path

import click

from polar_tools import options


@click.command("decontaminate")
@options.spec_argument()
def command(spec: Path) -> None:
    """Leave out training rows that overlap with test rows, as SPEC says.

    \b
      polar-tools decontaminate results/datasets/NAME/clean/spec.json
    """
    options.run_stage("decontaminate", spec)
