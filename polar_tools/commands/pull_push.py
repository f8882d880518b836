"""`polar-tools pull-push`: the stage mirror, on a spec or on its own."""

from pathlib import Path

import click

from polar_tools import options


@click.command("pull-push")
@options.spec_argument(required=False)
@click.option("--source", help="URI of what is copied: pypi://, file:// or hf://.")
@click.option("--sha256", help="What the archive of a pypi:// source must hash to.")
@click.option("--target", type=click.Path(path_type=Path, file_okay=False), help="Folder that receives the files.")
def command(spec: Path | None, source: str | None, sha256: str | None, target: Path | None) -> None:
    """Copy a repository exactly: as SPEC says, or from --source to --target.

    \b
      polar-tools pull-push --source hf://org/name@main --target mirror/name
    """
    if spec is not None and source is None and target is None:
        options.run_stage("mirror", spec)
    elif spec is None and source is not None and target is not None:
        from polar_tools import storage
        from polar_tools.stages import mirror

        with storage.open_source(source, sha256) as snapshot:
            mirror.copy(snapshot, target)
        click.echo(f"{target}: {len(snapshot.entries)} files, {sum(entry.size for entry in snapshot.entries):,} bytes")
    else:
        raise click.UsageError("give either SPEC, or --source and --target")
