"""`polar-tools expect SPEC`: the stage expect."""

from pathlib import Path

import click

from polar_tools import options


@click.command("expect")
@options.spec_argument()
def command(spec: Path) -> None:
    """Look whether a dataset or an experiment's tokens are what the config expects, as SPEC says.

    \b
      polar-tools expect results/datasets/NAME/expect/spec.json
    """
    options.run_stage("expect", spec)
