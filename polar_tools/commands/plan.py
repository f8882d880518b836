"""`polar-tools plan CONFIG`: what will it need, and does it fit?"""

from pathlib import Path

import click


@click.command("plan")
@click.argument("config", type=click.Path(path_type=Path), default="config/config.yaml")
@click.option("--budget", metavar="HOURS", help="Refuse a plan that takes more GPU hours, such as 40GPUh.")
@click.option("--device-memory", metavar="SIZE", help="Refuse a plan that needs more memory on a device, such as 80GB.")
@click.option("--device-speed", metavar="SPEED", help="What a GPU computes a second, such as 400TFLOPS, until a run was measured.")
@click.option("--json", "as_json", is_flag=True, help="Print the estimates as JSON.")
def command(config: Path, budget: str | None, device_memory: str | None, device_speed: str | None, as_json: bool) -> None:
    """Say what each artifact of CONFIG that is still to make will need: memory, disk, tokens, time. Nothing is written.

    Exit status 2 where it doesn't fit --budget or --device-memory; the message says which changes would fit.

    \b
      polar-tools plan config/config.yaml
      polar-tools plan config/config.yaml --device-memory 80GB --budget 40GPUh
    """
    import json

    from polar_tools import config as configuration
    from polar_tools.errors import ConfigError
    from polar_tools.estimates import amounts, limits, table
    from polar_tools.estimates.planned import Planned
    from polar_tools.plan import Plan

    hours = None if budget is None else amounts.gpu_hours(budget)
    most = None if device_memory is None else amounts.memory(device_memory)
    speed = None if device_speed is None else amounts.speed(device_speed)
    planned = Planned(Plan(configuration.load(config)), speed)
    if as_json:
        errors = {name: {"median_error": error, "runs": runs} for name, (error, runs) in planned.history.errors().items()}
        click.echo(json.dumps({"artifacts": [one.as_dict() for one in planned.pending], "past_runs": errors}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(table.lines(planned)))
    problems = [*([] if most is None else limits.memory(planned, most)), *([] if hours is None else limits.budget(planned, hours))]
    if problems:
        raise ConfigError("\n".join(["the plan doesn't fit:", *problems]))
