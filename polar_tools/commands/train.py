"""`polar-tools train SPEC`: the stage train."""

from pathlib import Path

import click

from polar_tools import options


@click.command("train")
@options.spec_argument()
def command(spec: Path) -> None:
    """Train one run of an experiment, as SPEC says."""
    options.run_stage("train", spec)
