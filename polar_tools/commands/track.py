"""`polar-tools track`: what trackers were told, and send what they missed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import options

if TYPE_CHECKING:
    from polar_tools.tracker_config import Settings
    from polar_tools.tracking.replaying import Standing

NEEDS = {"option": "tracker"}


@click.command("track")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--replay", is_flag=True, help="Send what trackers missed.")
@click.option("--follow", is_flag=False, flag_value=5.0, type=click.FloatRange(min=0.5), help="Go on sending every so many seconds (5).")
@options.tracker_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    paths: tuple[Path, ...], replay: bool, follow: float | None, trackers: tuple[str, ...], settings: tuple[str, ...], as_json: bool
) -> None:
    """Say what trackers have of the artifacts below PATHS (results), and send what they missed.

    Trackers are those of the config, as `snakemake` last read it, or those of --tracker. What was sent already is not sent again. Where the
    machines that train have no network, run it with --follow on one that has.

    \b
      polar-tools track
      polar-tools track --replay results/describe
      polar-tools track --replay --tracker mlflow -o mlflow.tracking_uri=http://127.0.0.1:5000
    """
    from polar_tools import signals
    from polar_tools.errors import WorldError
    from polar_tools.tracking.replaying import Replay

    found = Replay(paths or (Path("results"),), _told(trackers, settings))
    if not replay and follow is None:
        _print(list(found.look()), as_json)
        return
    with signals.listening():
        try:
            standings = list(found.send())
            while follow is not None:
                _print([one for one in standings if one.points or one.files or one.why], as_json)
                time.sleep(follow)
                standings = list(found.send())
        finally:
            found.close()
    _print(standings, as_json)
    if away := sorted({one.why for one in standings if one.state == "away"}):
        raise WorldError("\n".join([*away, "nothing is lost; run the same command again once it is there"]))


def _told(trackers: tuple[str, ...], settings: tuple[str, ...]) -> Settings | None:
    """The trackers of the command line; None where those of the project are meant."""
    from polar_tools import config as configs
    from polar_tools.tracker_config import Settings

    given = options.trackers_of(trackers, settings)
    return configs.parse({"project_name": "polar", "trackers": list[Any](given)}, "--tracker", Settings) if given else None


def _print(standings: list[Standing], as_json: bool) -> None:
    from polar_tools.tracking.replaying import as_dict

    if as_json:
        click.echo(json.dumps([as_dict(one) for one in standings], indent=2, ensure_ascii=False))
        return
    for one in standings:
        click.echo(str(one))
