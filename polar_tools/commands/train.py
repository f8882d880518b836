"""`polar-tools train SPEC`: the stage train."""

from pathlib import Path

import click

from polar_tools import options


@click.command("train")
@options.spec_argument()
@click.option("--preflight/--no-preflight", default=True, help="Look on a few rows first whether all is as it should be.")
def command(spec: Path, preflight: bool) -> None:
    """Train one run of an experiment, as SPEC says."""
    options.run_stage("train", spec, preflight=preflight)
