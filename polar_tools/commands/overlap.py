"""`polar-tools overlap SPEC`: the stage overlap."""

from pathlib import Path

import click

from polar_tools import options


@click.command("overlap")
@options.spec_argument()
def command(spec: Path) -> None:
    """Look for text that training rows and test rows have in common, as SPEC says.

    \b
      polar-tools overlap results/datasets/NAME/overlap/EVALUATION/spec.json
    """
    options.run_stage("overlap", spec)
