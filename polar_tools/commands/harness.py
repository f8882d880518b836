"""`polar-tools harness SPEC`: the stage harness."""

from pathlib import Path

import click

from polar_tools import options


@click.command("harness")
@options.spec_argument()
def command(spec: Path) -> None:
    """Measure one model on tasks of lm-evaluation-harness, as SPEC says.

    \b
      polar-tools harness results/NAME/seed0/harness/EVALUATION/spec.json
    """
    options.run_stage("harness", spec)
