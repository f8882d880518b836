"""`polar-tools verify PATH`: is every byte what was recorded?"""

from pathlib import Path

import click


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(path: Path, as_json: bool) -> None:
    """Hash again the artifacts at PATH and all that they were made from; exit status 1 names what changed."""
    import json

    from polar_tools import provenance
    from polar_tools.errors import IntegrityError

    looked_at, differences = provenance.verify(path)
    if as_json:
        click.echo(json.dumps({"artifacts": looked_at, "differences": differences}, indent=2))
    if differences:
        raise IntegrityError(f"{len(differences)} differences in {len(looked_at)} artifacts:\n" + "\n".join(differences))
    if not as_json:
        click.echo(f"{path}: {len(looked_at)} artifacts, all as recorded")
