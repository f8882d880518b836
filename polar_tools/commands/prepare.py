"""`polar-tools prepare SPEC`: the stage prepare."""

from pathlib import Path

import click

from polar_tools import options


@click.command("prepare")
@options.spec_argument()
def command(spec: Path) -> None:
    """Read, filter and split a dataset, as SPEC says."""
    options.run_stage("prepare", spec)
