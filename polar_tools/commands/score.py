"""`polar-tools score`: metrics of predictions that come from anywhere."""

import json

import click

from polar_tools import completing


@click.command("score")
@click.argument("predictions")
@click.option(
    "--metrics",
    default="rouge",
    show_default=True,
    shell_complete=completing.several_of("metrics"),
    help="Names of files in polar_tools/metrics, with commas between them.",
)
@click.option(
    "--tokenizer",
    shell_complete=completing.of("segmentation"),
    help="How texts are cut into tokens, for all metrics that do so: word, char, rouge-default, ...",
)
@click.option("-o", "--option", "settings", multiple=True, metavar="METRIC.OPTION=VALUE", help="An option of a metric, value in YAML.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object of figures by name, and nothing else.")
def command(predictions: str, metrics: str, tokenizer: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Score a file of JSON lines with `prediction` and `reference`, or a predictions.jsonl of ours; `-` reads standard input.

    \b
      polar-tools score predictions.jsonl --metrics rouge --tokenizer word --json
      polar-tools score - --metrics rouge,bleu -o rouge.tokenizer=char < predictions.jsonl
    """
    from polar_tools import scoring

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    report = scoring.score(scoring.read(predictions), scoring.chosen(names, settings, tokenizer))
    if as_json:
        click.echo(json.dumps(report["metrics"], sort_keys=True))
        return
    for name, value in report["metrics"].items():
        click.echo(f"{name}: {value:.4f}")
    for note in report.get("notes", []):
        click.echo(f"note: {note}", err=True)
    click.echo(f"{report['rows']} rows")
