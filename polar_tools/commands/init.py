"""`polar-tools init`: a project with a config for one's own rows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import completing

if TYPE_CHECKING:
    from polar_tools.proposing import Rows

CONFIG = Path("config/config.yaml")
DATA = Path("data")
HEAD = "polar-tools check says what this would make, snakemake makes it. What is made already is not made again."


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--data", type=click.Path(path_type=Path), help="Your rows: a file (CSV, JSON lines, Parquet, ...) or a folder of such.")
@click.option(
    "--method", shell_complete=completing.of("methods"), help="What to train; asked, or else the likeliest of those that the rows suit."
)
@click.option("--model", help="The base model: ORG/NAME on the Hub, a folder, or a URI; asked, or else a small one.")
@click.option("--sha256", help="What the archive of a pypi:// model must hash to.")
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="Which column is what, where it can't be told.")
@click.option("--shape", shell_complete=completing.of("shapes"), help="What the columns mean, where it can't be told.")
@click.option("--preset", help="Values for a purpose: small-dataset, large-dataset, auto, ...")
@click.option("--name", help="The project's name; the folder's without it.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def command(folder: Path, data: Path | None, columns: tuple[str, ...], yes: bool, **said: str | None) -> None:
    """Make FOLDER a project: the workflow's files, your rows in data/, and a commented config for what you want to do.

    What isn't said is asked on a terminal. In a folder that is a project already, only the config is new. Nothing is overwritten.

    \b
      polar-tools init my-project --data reviews.csv
      polar-tools init my-project --data chats.jsonl --method sft --model google/gemma-3-1b-it --yes
      polar-tools init my-project --data reviews.csv --column text=body --column label=stars
    """
    from polar_tools import config_text, options, project, proposing
    from polar_tools.errors import UserError

    asks = sys.stdin.isatty() and not yes
    if (folder / CONFIG).exists():
        raise UserError(f"{folder / CONFIG} is there already; name a new folder, or edit it: config/README.md explains every field")
    if data is None and not asks:
        raise click.UsageError("name your rows: --data FILE")
    data = data or Path(click.prompt("Your rows (a file or folder)"))
    if not data.exists():
        raise UserError(f"there is no {data}")
    rows = proposing.look(data, dict(options.pairs(columns, "NAME=COLUMN")), said["shape"])
    click.echo(f"{data}: {rows.count:,} rows, {rows.shape}: {rows.reason}")
    method = _method(rows, said["method"], asks)
    model = _model(rows, method, said["model"], asks)
    made, comments = _made(folder, rows, method, model, _address(data, folder), said)
    project.lay(folder)
    _bring(data, folder)
    (folder / CONFIG).parent.mkdir(exist_ok=True)
    text = config_text.document(made, comments, (folder / CONFIG).parent, HEAD)
    (folder / CONFIG).write_text(text, encoding="utf-8", newline="\n")
    _say_what_next(folder)


def _method(rows: Rows, said: str | None, asks: bool) -> str:
    """The method, by its own name; raises UserError where the rows don't suit it."""
    from polar_tools import discovery, proposing
    from polar_tools.errors import UserError
    from polar_tools.fields import did_you_mean

    suit, known = proposing.methods(rows), discovery.aliases("methods")
    if said is None:
        if not suit:
            raise UserError(f"rows with {', '.join(rows.standard)} suit no method by themselves; say what is what: --column NAME=COLUMN")
        click.echo(f"they suit {', '.join(suit)}")
        said = click.prompt("What to train", default=suit[0], type=click.Choice(suit)) if asks else suit[0]
    if said not in known:
        raise UserError(
            f"there is no method `{said}`{did_you_mean(said, list(known)) or '; there are ' + ', '.join(discovery.names('methods'))}"
        )
    if known[said] not in suit:
        what = "what a method's rows must have, config/README.md says"
        raise UserError(f"the rows don't suit {said} by themselves; they suit {', '.join(suit) or 'none'}. {what}")
    return known[said]


def _model(rows: Rows, method: str, said: str | None, asks: bool) -> str:
    """The URI of the base model."""
    from polar_tools import proposing, standalone

    proposed = proposing.model(method, rows.is_korean)
    return standalone.located(said or (click.prompt("Base model", default=proposed) if asks else proposed), "model")


def _address(data: Path, folder: Path) -> str:
    """The URI of the rows, as they will lie in the project."""
    inside = data.resolve().is_relative_to(folder.resolve())
    return f"file://{(data.resolve().relative_to(folder.resolve()) if inside else DATA / data.name).as_posix()}"


def _bring(data: Path, folder: Path) -> None:
    """Copy rows that lie outside of the project into it."""
    from polar_tools.errors import UserError

    if data.resolve().is_relative_to(folder.resolve()):
        return
    target = folder / DATA / data.name
    if target.exists():
        raise UserError(f"{target} is there already; move it, or name it: --data {target}")
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(data, target) if data.is_dir() else shutil.copyfile(data, target)


def _made(folder: Path, rows: Rows, method: str, model: str, data: str, said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The config, held to its own types, and its comments by place."""
    from polar_tools import config as configs
    from polar_tools import hardware, proposing, storage

    made, comments = proposing.config(rows, method, model, data, hardware.gpus(), said["preset"])
    whole = {"project_name": said["name"] or folder.resolve().name, **made}
    if said["sha256"] is not None:
        whole["models"][proposing.BASE]["sha256"] = said["sha256"]
    storage.check(model, said["sha256"])
    configs.parse(whole, str(folder / CONFIG))
    return whole, comments


def _say_what_next(folder: Path) -> None:
    lines = ["polar-tools check", "polar-tools doctor config/config.yaml", "snakemake", "results/report/index.html"]
    meanings = ["is it valid, and what would it make?", "has this machine what it needs?", "make all of it", "is the report"]
    click.echo(f"{folder / CONFIG} is written. Next:")
    click.echo(f"  cd {folder}")
    for line, meaning in zip(lines, meanings, strict=True):
        click.echo(f"  {line:40} # {meaning}")
