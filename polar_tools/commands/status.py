"""`polar-tools status [CONFIG]`: what is done, what is being made and how far it is, what failed and why."""

from pathlib import Path

import click


@click.command("status")
@click.argument("config", type=click.Path(path_type=Path), default="config/config.yaml")
@click.option("--below", metavar="PATH", default="", help="Only artifacts whose paths begin so, such as results/describe.")
@click.option("--watch", is_flag=False, flag_value=5.0, type=click.FloatRange(min=0.5), help="Show it anew every so many seconds (5).")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(config: Path, below: str, watch: float | None, as_json: bool) -> None:
    """Say of every artifact of CONFIG whether it is done, running, queued, failed, ready, or waits for another. Nothing is written.

    It reads the disk, and Slurm's queue where there is one: no snakemake need run, and any machine will do that sees the folder.

    \b
      polar-tools status
      polar-tools status --below results/describe --watch
      polar-tools status config/config.yaml --json
    """
    import json
    import time

    from polar_tools import config as configuration
    from polar_tools import status
    from polar_tools.plan import Plan

    plan = Plan(configuration.load(config))
    while True:
        found = [one for one in status.of(plan) if one.path.startswith(below)]
        text = json.dumps([one.as_dict() for one in found], indent=2, ensure_ascii=False) if as_json else "\n".join(status.lines(found))
        if watch is not None:
            click.clear()
        click.echo(text)
        if watch is None or all(one.state == "done" for one in found):
            return
        time.sleep(watch)
