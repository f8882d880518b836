"""`polar-tools publish`: the stage publish, on a spec or on a finished artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polar_tools import options

NEEDS = dict.fromkeys(("config", "name", "what", "private", "message", "license", "sign", "require", "waive", "set"), "target")
"""What a SPEC says itself."""


@click.command("publish")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, help="ORG/NAME on the Hub, s3://BUCKET/PREFIX or ./FOLDER; one of each kind.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The config that made the artifact.")
@click.option("--name", help="What the publication is called; that of the experiment or dataset without it.")
@click.option("--what", type=click.Choice(["model", "adapter", "merged"]), help="What of a training.")
@click.option("--private", is_flag=True, help="Make a private repository.")
@click.option("--message", help="Message of the commits.")
@click.option("--license", help="Licence under which it is published.")
@click.option("--sign", type=click.Path(dir_okay=False, exists=True, resolve_path=True), help="Private key (PEM) to sign with.")
@click.option("--require", multiple=True, metavar="EVALUATION.FIGURE=NUMBER", help="What a figure must reach at least; repeatable.")
@click.option("--waive", multiple=True, metavar="GATE=REASON", help="A gate that need not be passed, and why; repeatable.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any field of a publication, value in YAML.")
@click.option("--dry-run", "-n", is_flag=True, help="Put it together and ask all gates, and send nothing.")
@click.option("--follow", is_flag=True, help="Send checkpoints, by `hub_strategy`, until the training of SPEC has ended.")
@click.option("--pause", type=click.FloatRange(min=0), default=10, show_default=True, help="Seconds between two looks of --follow.")
@click.option("--json", "as_json", is_flag=True, help="Print what was published, and where, as JSON.")
def command(path: Path, targets: tuple[str, ...], dry_run: bool, follow: bool, pause: float, as_json: bool, **given: Any) -> None:
    """Publish a model, a dataset or a report on the Hub, in a bucket or in a folder, once every gate is passed.

    PATH is a SPEC, or, with --target, the folder of any finished artifact. What is published carries a card, the records behind it and a
    claim, which `polar-tools verify` checks wherever it has been fetched to.

    \b
      polar-tools publish results/publish/describe/spec.json
      polar-tools publish results/publish/describe/spec.json --follow
      polar-tools publish results/describe/seed0/train --target ORG/NAME --private --waive "licenses=we asked the author"
    """
    told = {name: value for name, value in given.items() if value not in (None, (), False)}
    if not targets and told:
        raise click.UsageError("a SPEC says everything itself; options are for a finished artifact and its --target")
    if targets and follow:
        raise click.UsageError("--follow needs a SPEC: a finished artifact has no checkpoints to come")
    if follow:
        _follow(options.folder_of(path), pause)
        return
    with options.only_the_outcome(as_json):
        made = _alone(path, targets, told, dry_run) if targets else _run(path, dry_run)
    if as_json:
        _tell(made, dry_run)


def _run(spec: Path, dry_run: bool) -> Path:
    """Publish, or only try to; the folder of the publication."""
    if not dry_run:
        options.run_stage("publish", spec)
        return options.folder_of(spec)
    options.set_up("publish")
    from polar_tools.stages import publish

    publish.try_out(options.folder_of(spec))
    click.echo("nothing was sent")
    return options.folder_of(spec)


def _tell(folder: Path, dry_run: bool) -> None:
    """What the record and the manifest of a publication say."""
    import json

    from polar_tools import artifact

    record, manifest = (artifact.read_json(folder / name) or {} for name in ("record.json", "manifest.json"))
    sent = {} if dry_run else {"facts": record.get("facts", {}), "targets": manifest.get("measured", {}).get("targets", {})}
    click.echo(json.dumps({"publication": str(folder), "sent": not dry_run, **sent}, indent=2, ensure_ascii=False))


def _follow(folder: Path, pause: float) -> None:
    options.set_up("publish")
    from polar_tools import following, signals

    with signals.listening():
        following.follow(folder, pause, click.echo)


def _alone(folder: Path, targets: tuple[str, ...], told: dict[str, Any], dry_run: bool) -> Path:
    import contextlib

    from polar_tools.publishing import alone

    config, name = told.pop("config", None), told.pop("name", None)
    root, path = alone.planned(folder, targets, config, name, _fields(told))
    with contextlib.chdir(root):
        return _run(Path(path), dry_run).resolve()


def _fields(told: dict[str, Any]) -> dict[str, Any]:
    """The fields of a publication that options say."""
    settings = options.assigned(told.pop("settings", ()))
    waived = dict(options.pairs(told.pop("waive", ()), "GATE=REASON"))
    required = {
        figure: {"at_least": _number(value)} for figure, value in options.pairs(told.pop("require", ()), "EVALUATION.FIGURE=NUMBER")
    }
    several = {name: value for name, value in (("waive", waived), ("require", required)) if value}
    return {**settings, **told, **several}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--require: `{text}` is no number") from None
