"""`polar-tools evaluate SPEC`: the stage evaluate."""

from pathlib import Path

import click

from polar_tools import options


@click.command("evaluate")
@options.spec_argument()
def command(spec: Path) -> None:
    """Measure one model on one evaluation, as SPEC says."""
    options.run_stage("evaluate", spec)
