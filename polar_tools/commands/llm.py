"""`polar-tools llm`: an AutoTrain command line as it is, run here."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("llm", context_settings={"ignore_unknown_options": True})
@click.argument("given", nargs=-1, type=click.UNPROCESSED, metavar="--train [--NAME VALUE]...")
@click.option(
    "--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="An AutoTrain YAML, as `autotrain --config` takes it."
)
@click.option(
    "--hold-out", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share of the rows to measure on, before and after."
)
@click.option("--convert-only", is_flag=True, help="Write PROJECT_NAME/config.yaml, and train nothing.")
def command(given: tuple[str, ...], file: Path | None, hold_out: float | None, convert_only: bool) -> None:
    """Run an AutoTrain command here: what stands behind `autotrain llm`, in every spelling that AutoTrain takes.

    It becomes a config, PROJECT_NAME/config.yaml, and that is made: model and rows are fetched, the training runs, what is held out
    (--valid-split, --hold-out) is measured before and after. PROJECT_NAME/model is the trained model, PROJECT_NAME/results/report the
    report. To stderr goes a line for each argument: what it became, why it became nothing, and where a default here is safer.
    Run again, the same command goes on where it stopped, and does nothing once all is done.

    All options, and what each becomes: docs/from-autotrain.md.

    \b
      polar-tools llm --train --trainer sft --model ORG/NAME --project-name my-model --data-path data --text-column text \\
        --lr 2e-4 --epochs 3 --batch-size 4 --peft --quantization none --mixed-precision bf16
      polar-tools llm --train --trainer dpo --model ORG/NAME --project-name better --data-path ORG/PREFERENCES --peft \\
        --prompt-text-column prompt --text-column chosen --rejected-text-column rejected --chat-template tokenizer
      polar-tools llm --config autotrain.yaml
    """
    from polar_tools import converting, foreign_arguments, foreign_runs
    from polar_tools.conversions.autotrain import names
    from polar_tools.errors import UserError

    arguments = foreign_arguments.read([] if file is None else [file], names.written_out(given))
    if file is None and not arguments.get("train"):
        raise UserError("there is nothing to do without --train; `polar-tools llm --help` shows examples")
    draft = converting.converted(arguments, "autotrain")
    root = Path(draft.config["project_name"])
    foreign_runs.settle(draft, hold_out)
    for note in draft.notes:
        click.echo(converting.line(note), err=True)
    if convert_only:
        click.echo(f"{foreign_runs.write(draft, root)} says the same as this command; nothing was trained")
        return
    made = foreign_runs.run(draft, root)
    for name, (before, after) in made.figures.items():
        click.echo(f"{name}: {before:.4f} -> {after:.4f}")
    click.echo(f"{made.model} is the trained model")
    click.echo(f"{made.report} is the report")
