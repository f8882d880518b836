"""`polar-tools doctor [CONFIG]`: what can this machine do, and what is missing?"""

from pathlib import Path

import click


@click.command("doctor")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--profile", metavar="NAME", help="A profile of Snakemake's, such as slurm: look at the cluster too.")
@click.option("--json", "as_json", is_flag=True, help="Print what is found as JSON.")
def command(config: Path | None, profile: str | None, as_json: bool) -> None:
    """Say what this machine can do: processors, GPUs, packages, stores; for CONFIG, what it needs and isn't here, and how to get it.

    No token and no key is ever shown.

    With --profile slurm it looks at the cluster too, and runs a job of a second on a node. Exit status 1 where there is a problem.

    \b
      polar-tools doctor
      polar-tools doctor config/config.yaml
      polar-tools doctor config/config.yaml --profile slurm
    """
    import json
    from dataclasses import asdict

    from polar_tools import config as configuration
    from polar_tools.doctor import cluster, kernels, machine, packages, stores, trackers
    from polar_tools.doctor.base import Asked
    from polar_tools.errors import WorldError
    from polar_tools.plan import Plan

    asked = Asked(None if config is None else Plan(configuration.load(config)), None if profile is None else _profile(profile))
    found = []
    for subject in (machine, kernels, packages, stores, trackers, cluster):
        for finding in subject.look(asked):
            found.append(finding)
            if not as_json:
                click.echo(f"{finding.level:7}  {finding.subject:11}  {finding.said}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False))
    if problems := sum(finding.level == "problem" for finding in found):
        raise WorldError(f"{problems} problem{'s' if problems > 1 else ''}, as said above")


def _profile(name: str) -> Path:
    """The file of a profile, looked for as Snakemake does, below this folder."""
    from polar_tools.errors import UserError
    from polar_tools.spelling import did_you_mean

    folders = (Path(name), Path("profiles", name))
    for file in (folder / base for folder in folders for base in ("profile.yaml", "config.yaml")):
        if file.is_file():
            return file
    known = [file.parent.name for file in Path("profiles").glob("*/*.yaml")]
    looked = f" (looked for {name}/profile.yaml and profiles/{name}/profile.yaml)"
    raise UserError(f"there is no profile `{name}` here{did_you_mean(name, known) or looked}")
