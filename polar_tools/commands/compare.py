"""`polar-tools compare`: the stage compare, on a spec; or any models, by their names or their predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polar_tools import completing, options


@click.command("compare")
@click.argument("what", nargs=-1, required=True, metavar="A B ...", shell_complete=completing.experiments)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), default="config/config.yaml", help="Where names are looked up.")
@click.option(
    "--evaluation", shell_complete=completing.evaluations, help="On which evaluation; the one that all have in common where it isn't given."
)
@click.option("--metrics", type=options.Yaml({tuple}), help="Metrics to compute anew, as in a config; those that were measured without it.")
@click.option("--samples", type=click.IntRange(min=100), default=10_000, show_default=True, help="How often rows are drawn.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draws.")
@click.option("--all-pairs", is_flag=True, help="Compare all with one another, not only with the first.")
@click.option("--common", is_flag=True, help="Compare on the rows that all have, where these are not the same.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(what: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Compare what models made of the same test rows: which is better, by how much, and how sure that is.

    A is the baseline. Each is an experiment of the config with all its seeds (`describe`), one run of it (`describe:seed1`), its untouched
    model (`describe:base`), a reference of the evaluation, a folder of an evaluation, or a file of predictions; NAME=FILE gives it a name.
    What the numbers mean: docs/compare.md.

    \b
      polar-tools compare describe:base describe
      polar-tools compare describe describe-lora rival=predictions.jsonl --metrics rouge,bleu --all-pairs
      polar-tools compare results/comparisons/sayings/spec.json
    """
    import json

    if len(what) == 1:
        if not options.folder_of(Path(what[0])).joinpath("spec.json").is_file():
            raise click.UsageError("name at least two to compare, or a SPEC")
        options.run_stage("compare", Path(what[0]))
        return
    options.set_up("compare")
    from polar_tools.comparing import asking, table

    found = asking.compare(what, **asked)
    click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if as_json else "\n".join(table.lines(found)))
