"""`polar-tools evaluate`: the stage evaluate, on a spec or on its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import completing, options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NEEDED = ("model", "test_data", "output")
NEEDS = {"option": "metrics", "tokenizer": "metrics"}


class Evaluate(options.Derived):
    """Has an option for each field of a generation."""

    fields: list[click.Option] = []

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click."""
        if any(word.startswith("-") for word in args):
            self.fields = self._derived()
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click, with the options that fields say."""
        if incomplete.startswith("-") and not self.fields:
            self.fields = self._derived()
        return super().shell_complete(ctx, incomplete)

    def forms(self) -> dict[str, list[click.Parameter]]:
        """One."""
        return {"": self.form({})}

    def form(self, given: Mapping[str, Any]) -> list[click.Parameter]:
        """The same always."""
        return [*self.params, *self._derived()]

    def check(self, given: Mapping[str, Any]) -> None:
        """Whether the fields of a generation go together."""
        from polar_tools import config as configs
        from polar_tools.evaluation_config import Generation

        configs.parse({name: given[name] for name in Generation.model_fields if name in given}, "generation", Generation)

    def _derived(self) -> list[click.Option]:
        from polar_tools.evaluation_config import Generation

        return options.of_fields(Generation, Generation.model_fields)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those of fields."""
        return [*super().get_params(ctx), *self.fields]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In two groups."""
        for title, params in (("Options", super().get_params(ctx)), ("Generation, for methods that write", self.fields)):
            if records := [record for param in params if isinstance(param, click.Option) and (record := param.get_help_record(ctx))]:
                with formatter.section(title):
                    formatter.write_dl(records)


@click.command("evaluate", cls=Evaluate, context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
@options.spec_argument(*NEEDED)
@click.option("--model", help="What a training left, an adapter, a model's folder, ORG/NAME on the Hub, or a URI: hf://, s3://, pypi://.")
@click.option("--test-data", help="Rows: a file or folder, or a URI: hf://datasets/ORG/NAME, s3://, pypi://.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for predictions.jsonl and report.json.")
@click.option(
    "--method",
    shell_complete=completing.of("methods"),
    help="How the model is measured; without it, as it was trained, or as fits it and the rows.",
)
@click.option(
    "--metrics",
    shell_complete=completing.several_of("metrics"),
    help="Names of files in polar_tools/metrics, with commas between them; the method's without it.",
)
@click.option("-o", "--option", "settings", multiple=True, metavar="METRIC.OPTION=VALUE", help="An option of a metric, value in YAML.")
@click.option(
    "--tokenizer", shell_complete=completing.of("segmentation"), help="How texts are cut into tokens, for all metrics that do so."
)
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="Which column is the prompt, the completion, ...")
@click.option(
    "--shape", default="auto", shell_complete=completing.of("shapes"), help="What the rows are, where it isn't seen from their columns."
)
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of an experiment, value in YAML: --set gpus=1.")
@click.option("--seed", default=0, help="Seed of sampling.")
@click.option("--overwrite", is_flag=True, help="Replace a finished evaluation of another model, other rows or settings.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(spec: Path | None, **given: Any) -> None:
    """Measure one model on one evaluation, as SPEC says, or any model on any rows.

    On its own, what a training of ours left is measured as it was trained: with its method, chat template and system prompt. Of any other
    model the method is told from what it is and what the rows have, and said. Killed, the same command goes on.

    \b
      polar-tools evaluate results/describe/seed0/evaluate/descriptions
      polar-tools evaluate --model out/model --test-data rows.csv --metrics rouge,bleu --output report/
      polar-tools evaluate --model ORG/NAME --test-data rows.jsonl --output report/ --num-beams 4
    """
    if spec is not None:
        if any(value for value in given.values() if value not in ("auto", 0)):
            raise click.UsageError("give either SPEC, or --model, --test-data and --output")
        options.run_stage("evaluate", spec)
        return
    missing = [f"--{name.replace('_', '-')}" for name in NEEDED if given[name] is None]
    if missing:
        raise click.UsageError(f"give either SPEC, or {', '.join(missing)} too")
    _alone(given)


def _alone(given: dict[str, Any]) -> None:
    from polar_tools import evaluating, scoring
    from polar_tools.evaluation_config import Generation

    writing = {name: given[name] for name in Generation.model_fields if given.get(name) is not None}
    names = [name.strip() for name in (given["metrics"] or "").split(",") if name.strip()]
    if (given["settings"] or given["tokenizer"]) and not names:
        raise click.UsageError("--option and --tokenizer go with --metrics")
    same = {name: given[name] for name in ("method", "shape", "seed", "overwrite")}
    with options.only_the_outcome(given["as_json"]):
        report = evaluating.evaluate(
            given["model"],
            given["test_data"],
            given["output"],
            metrics=scoring.chosen(names, given["settings"], given["tokenizer"]),
            columns=dict(options.pairs(given["columns"], "NAME=COLUMN")),
            generation=writing,
            **same,
            **options.assigned(given["fields"]),
        )
    if given["as_json"]:
        click.echo(json.dumps(report, sort_keys=True, ensure_ascii=False))
        return
    for note in report["notes"]:
        click.echo(note, err=True)
    for name, value in report["metrics"].items():
        between = report.get("intervals", {}).get(name)
        click.echo(f"{name}: {value:.4f}" + (f"  (95 %: {between[0]:.4f} to {between[1]:.4f})" if between else ""))
    click.echo(f"{report['rows']} rows; {given['output'] / 'predictions.jsonl'} has what was made of each")
