"""`polar-tools publish`: the stage publish."""

from pathlib import Path

import click

from polar_tools import options


@click.command("publish")
@options.spec_argument()
def command(spec: Path) -> None:
    """Publish."""
    options.run_stage("publish", spec)
