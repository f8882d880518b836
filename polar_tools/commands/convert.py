"""`polar-tools convert`: another program's configuration as a config of this project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.conversions.base import Draft


@click.command("convert", context_settings={"ignore_unknown_options": True})
@click.argument("given", nargs=-1, type=click.UNPROCESSED, metavar="[FILE]... [--NAME VALUE]...")
@click.option(
    "--from",
    "program",
    metavar="PROGRAM",
    shell_complete=completing.of("conversions"),
    help="Whose configuration it is; told by its names if not given.",
)
@click.option("--to", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write the config here instead of to stdout.")
@click.option("--json", "as_json", is_flag=True, help="Config and notes as one JSON object on stdout.")
@click.option("--run", "folder", type=click.Path(path_type=Path, file_okay=False), help="Write config.yaml here, train, evaluate, report.")
def command(given: tuple[str, ...], program: str | None, output: Path | None, as_json: bool, folder: Path | None) -> None:
    """Turn another program's configuration into a config of this project, and run it if asked.

    FILEs are what that program reads (YAML, JSON, .env, a Python file of `key = value` lines, a shell script with one command), later ones
    counting more; or its options stand behind `--` as they are. The config goes to stdout; to stderr, a line for each argument: which field
    it became, or why none. A name that the program doesn't have is an error.

    \b
      polar-tools convert trainer.env > config/config.yaml
      polar-tools convert base.yaml experiment.yaml --to config/config.yaml
      polar-tools convert g3moe.json --run results-of-g3moe
      polar-tools convert --from autotrain -- --trainer sft --model ORG/NAME --data-path data --peft
    """
    from polar_tools import config_text, converting, foreign_arguments, records
    from polar_tools.errors import UserError

    if not given:
        raise click.UsageError("name a FILE, or give its options behind `--`")
    if folder is not None and (output is not None or as_json):
        raise click.UsageError("--run writes the config into its folder; leave --to and --json out")
    first = next((place for place, word in enumerate(given) if word.startswith("-")), len(given))
    draft = converting.converted(foreign_arguments.read([Path(word) for word in given[:first]], given[first:]), program)
    for note in draft.notes:
        click.echo(converting.line(note), err=True)
    if folder is not None:
        _run(draft, folder)
        return
    if as_json:
        notes = [note._asdict() for note in draft.notes]
        text = json.dumps({"config": draft.config, "notes": notes}, ensure_ascii=False, indent=2) + "\n"
    else:
        text = config_text.document(draft.config, folder=None if output is None else output.parent)
    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists():
        raise UserError(f"{output} is there already; nothing was written")
    records.write_whole(output, text.encode())


def _run(draft: Draft, folder: Path) -> None:
    """Train and evaluate in a folder, and say where what came of it lies."""
    from polar_tools import foreign_runs

    made = foreign_runs.run(draft, folder)
    for name, (before, after) in made.figures.items():
        click.echo(f"{name}: {before:.4f} -> {after:.4f}")
    click.echo(f"{made.model} is the trained model")
    click.echo(f"{made.report} compares it with the untouched one")
