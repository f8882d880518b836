"""`polar-tools mix SPEC`: the stage mix."""

from pathlib import Path

import click

from polar_tools import options


@click.command("mix")
@options.spec_argument()
def command(spec: Path) -> None:
    """Mix prepared datasets, as SPEC says.

    \b
      polar-tools mix results/datasets/MIXTURE/spec.json
    """
    options.run_stage("mix", spec)
