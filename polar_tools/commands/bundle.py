"""`polar-tools bundle CONFIG`: everything that a config needs in one folder, for where there is no network."""

from pathlib import Path

import click

EXTRAS = "run"


@click.command("bundle")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), default="config/config.yaml")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder for it, outside of the project."
)
@click.option("--extras", metavar="NAMES", default=EXTRAS, show_default=True, help="Extras of the project whose packages are packed.")
@click.option("--no-wheels", is_flag=True, help="Pack no packages: where it goes they are installed already.")
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def command(config: Path, output: Path, extras: str, no_wheels: bool, as_json: bool) -> None:
    """Pack all that CONFIG needs into one folder: repositories as mirrored snapshots, local files, packages with their hashes, the project.

    `make run` in that folder works with no network at all, on a machine with the same Python and of the same kind. `polar-tools verify
    FOLDER`, or `sha256sum -c SHA256SUMS` in it, says whether all arrived. Interrupted, the same command goes on.

    \b
      polar-tools bundle config/config.yaml --output ../bundle
      polar-tools bundle --output ../bundle --no-wheels
    """
    import contextlib
    import json
    import sys

    from polar_tools.bundling import packing

    with contextlib.redirect_stdout(sys.stderr):
        told = packing.pack(config, output, None if no_wheels else [name.strip() for name in extras.split(",") if name.strip()])
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file() and not path.is_symlink())
        how = "make run" if (output / "Makefile").exists() else "snakemake"
        click.echo(f"{output}: {len(told['files'])} files, {size / 1e9:.2f} GB, {told['wheels']} packages; `{how}` in it needs no network")
