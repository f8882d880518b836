"""`polar-tools predict`: a model's answers to rows, as they come."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import completing, options

if TYPE_CHECKING:
    from polar_tools.finding import Found

CONFIG = click.Path(path_type=Path, dir_okay=False)
OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("experiment", shell_complete=completing.experiments),
    click.option(
        "--config", default="config/config.yaml", type=CONFIG, help="The config of the experiment.  [default: config/config.yaml]"
    ),
    click.option("--run", help="Which training of it: seed0, ..., or base for the untouched model; the first without it."),
    click.option(
        "--evaluation",
        shell_complete=completing.evaluations,
        help="Whose generation settings are taken; those of its first evaluation without it.",
    ),
    click.option("--method", shell_complete=completing.of("methods"), help="How a model that no training of ours left is asked."),
    click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of the experiment, value in YAML: --set gpus=1."),
    click.option("--generation", multiple=True, metavar="FIELD=VALUE", help="How the model writes: --generation max_new_tokens=100."),
)


def of_model(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and the options that say which model is asked, and how it writes."""
    for declared in reversed(OPTIONS):
        command = declared(command)
    return command


@contextlib.contextmanager
def found(
    experiment: str,
    config: Path,
    run: str | None,
    evaluation: str | None,
    method: str | None,
    fields: tuple[str, ...],
    generation: tuple[str, ...],
) -> Iterator[Found]:
    """The model that is asked, while this lasts; says what was told from it."""
    options.set_up("evaluate")
    from dataclasses import replace

    from polar_tools import answering
    from polar_tools import config as configs
    from polar_tools.evaluation_config import Generation

    with tempfile.TemporaryDirectory() as work:
        made = answering.find(experiment, config, run, evaluation, method, options.assigned(fields), Path(work))
        if generation:
            told = {**made.generation.model_dump(exclude_defaults=True), **options.assigned(generation)}
            made = replace(made, generation=configs.parse(told, "--generation", Generation))
        for note in made.notes:
            click.echo(note, err=True)
        yield made


@click.command("predict")
@of_model
@click.option("--input", "source", required=True, help="Rows in any format that `prepare` reads, or `-`: JSON objects or plain lines.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File for the predictions; standard output without it.")
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="Which column is the prompt, the text, ...")
def command(source: str, output: Path | None, columns: tuple[str, ...], **given: Any) -> None:
    """What a model makes of rows: JSON lines with the row, `prediction`, and whether it was `cut`, as they come.

    EXPERIMENT is one of the config, or the folder of a model. Chat template, system prompt and generation are those of its evaluation.

    \b
      polar-tools predict describe --input rows.csv --output predictions.jsonl
      echo "What is a cat?" | polar-tools predict out/model --input -
    """
    from polar_tools import answering

    named, target = dict(options.pairs(columns, "NAME=COLUMN")), None if output is None else output.resolve()
    with found(**given) as made, contextlib.ExitStack() as stack:
        rows = (
            list(answering.read(source, sys.stdin, named, made.columns))
            if source != "-"
            else answering.read(source, sys.stdin, named, made.columns)
        )
        file = stack.enter_context(target.open("w", encoding="utf-8")) if target is not None else None
        stack.enter_context(contextlib.chdir(made.root))
        for line in answering.predictions(made, rows, answering.LOT if source != "-" else 1):
            click.echo(json.dumps(line, ensure_ascii=False), file=file)
            if file is not None:
                file.flush()
