"""`polar-tools check CONFIG`: is it valid, and what would run?"""

from pathlib import Path

import click


@click.command("check")
@click.argument("config", type=click.Path(path_type=Path), default="config/config.yaml")
def command(config: Path) -> None:
    """Validate CONFIG and say what it would make; nothing is written."""
    from polar_tools import config as configuration
    from polar_tools.plan import Plan

    plan = Plan(configuration.load(config))
    states = plan.states()
    for path, state in states.items():
        click.echo(f"{state:8}  {path}")
    todo = sum(state != "done" for state in states.values())
    click.echo(f"{config} is valid: {len(states)} artifacts, {todo} to make")
