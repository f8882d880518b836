"""`polar-tools export-crate PATH`: results for an archive, as an RO-Crate."""

from pathlib import Path

import click


@click.command("export-crate")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder for it.")
@click.option("--title", default="Results of POLAR", show_default=True, help="What the archive is to call it.")
@click.option("--license", "licence", metavar="URL", required=True, help="Licence of what is archived, by its SPDX address.")
@click.option("--everything", is_flag=True, help="With the files of all that the artifacts were made from, sources and checkpoints too.")
@click.option("--json", "as_json", is_flag=True, help="Print how much was archived as JSON.")
def command(path: Path, output: Path, title: str, licence: str, everything: bool, as_json: bool) -> None:
    """Write the artifacts at PATH, with the record of every run behind them, as an RO-Crate 1.1 by the profile Process Run Crate 0.5.

    \b
      polar-tools export-crate results/describe --output crate --license https://spdx.org/licenses/Apache-2.0
    """
    import json

    from polar_tools import crates

    made = crates.export(path, output, title, licence, everything)
    if as_json:
        click.echo(json.dumps({"output": str(output), **made}, indent=2, ensure_ascii=False))
        return
    click.echo(f"{output}: {made['artifacts']} artifacts, {made['files']} files; ro-crate-metadata.json says how each was made")
