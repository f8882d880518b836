"""`polar-tools diagnose`: what went wrong in this training, and what would mend it?"""

from pathlib import Path

import click

from polar_tools import completing


@click.command("diagnose")
@click.argument("path", type=click.Path(path_type=Path), default="results", shell_complete=completing.experiments)
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="In which language findings are told.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, with the figures that they rest on.")
def command(path: Path, language: str, as_json: bool) -> None:
    """Read the curves, records and predictions of trainings for what goes wrong: symptom, likely cause, what to change.

    PATH is the name of an experiment, or a folder at or below which trainings lie; a training that still runs, or that failed, is read
    as far as it got.

    \b
      polar-tools diagnose describe
      polar-tools diagnose results/describe/seed0/train --json
    """
    import json

    from polar_tools import diagnosing, languages

    runs = {folder.as_posix(): diagnosing.read(folder) for folder in diagnosing.trainings(path)}
    found = {name: diagnosing.findings(run) for name, run in runs.items()}
    if as_json:
        whole = {name: diagnosing.as_dict(runs[name], findings, language) for name, findings in found.items()}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False, sort_keys=True))
        return
    for name, findings in found.items():
        seen = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}" if findings else "nothing found"
        click.echo(f"{name}{'' if runs[name].finished else ' (not finished)'}: {seen}")
        for words in diagnosing.told(findings, language).values():
            click.echo(f"\n  {words.title}")
            for part in ("symptom", "cause", "change"):
                click.echo(f"    {languages.texts(language)[f'findings.{part}']}: {vars(words)[part]}")
