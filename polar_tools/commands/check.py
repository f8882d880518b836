"""`polar-tools check CONFIG`: is it valid, and what would run?"""

from pathlib import Path

import click


@click.command("check")
@click.argument("config", type=click.Path(path_type=Path), default="config/config.yaml")
@click.option("--json", "as_json", is_flag=True, help="Print artifacts and their states as JSON.")
def command(config: Path, as_json: bool) -> None:
    """Validate CONFIG and say what it would make; nothing is written.

    \b
      polar-tools check
      polar-tools check my.yaml --json
    """
    import json

    from polar_tools import config as configuration
    from polar_tools.plan import Plan

    plan = Plan(configuration.load(config))
    states = plan.states()
    if as_json:
        click.echo(json.dumps({"config": str(config), "artifacts": states}, indent=2, ensure_ascii=False))
        return
    for path, state in states.items():
        click.echo(f"{state:8}  {path}")
    todo = sum(state != "done" for state in states.values())
    click.echo(f"{config} is valid: {len(states)} artifacts, {todo} to make")
