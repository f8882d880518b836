"""`polar-tools report SPEC`: the stage report."""

from pathlib import Path

import click

from polar_tools import options


@click.command("report")
@options.spec_argument()
def command(spec: Path) -> None:
    """Lay all results before a reader, as SPEC says.

    \b
      polar-tools report results/report/spec.json
    """
    options.run_stage("report", spec)
