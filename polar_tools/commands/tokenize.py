"""`polar-tools tokenize SPEC`: the stage tokenize."""

from pathlib import Path

import click

from polar_tools import options


@click.command("tokenize")
@options.spec_argument()
def command(spec: Path) -> None:
    """Render a dataset for an experiment's model, as SPEC says.

    \b
      polar-tools tokenize results/NAME/tokenize/spec.json
    """
    options.run_stage("tokenize", spec)
