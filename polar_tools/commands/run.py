"""`polar-tools run CONFIG`: make all that a config asks for."""

from pathlib import Path

import click


@click.command("run")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), default="config/config.yaml")
@click.option("--profile", metavar="NAME", help="A profile of Snakemake's, such as slurm.")
@click.option("--target", "targets", multiple=True, metavar="FILE", help="Make only this and what it needs, such as .../manifest.json.")
@click.option("--cores", type=click.IntRange(min=1), help="Processor cores to use here; all without it.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be made, and make nothing.")
def command(config: Path, profile: str | None, targets: tuple[str, ...], cores: int | None, dry_run: bool) -> None:
    """Make all that CONFIG asks for: `snakemake --configfile CONFIG`, in the folder of a project.

    What is there already is not made again. Told to stop (SIGTERM), trainings save a checkpoint, the cluster's jobs are cancelled, and the
    exit status is 75; the same command goes on. All that Snakemake can do besides, `snakemake` itself does.

    \b
      polar-tools run config/config.yaml
      polar-tools run config/config.yaml --profile slurm
      polar-tools run --target results/describe/seed0/train/manifest.json
    """
    import sys

    from polar_tools import workflow

    sys.exit(workflow.run(config, profile, targets, cores, dry_run))
