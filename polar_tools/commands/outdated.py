"""`polar-tools outdated`: which sources moved on since they were mirrored?"""

from pathlib import Path

import click


@click.command("outdated")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".", help="The project's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(root: Path, as_json: bool) -> None:
    """Ask the stores of all mirrored sources for their state now; exit status 1 where one is not as it was mirrored.

    `moved`: the address means another commit, or other bytes. `newer`: the source is pinned to a commit or release, and there is a newer
    one. `gone`: nothing is there any more. `unreachable`: the store didn't answer. Nothing is fetched again: to take in what moved, remove
    the manifest.json and record.json of the folder that is named, or name the new commit in the config, and run snakemake.

    \b
      polar-tools outdated
      polar-tools outdated --json
    """
    import json
    import sys

    from polar_tools.queries import outdated

    found = []
    for standing in outdated.standings(root):
        found.append(standing)
        if not as_json:
            click.echo(str(standing))
    if as_json:
        click.echo(json.dumps([standing.as_dict() for standing in found], indent=2, ensure_ascii=False))
    if any(standing.state != "current" for standing in found):
        sys.exit(1)
