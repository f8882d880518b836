"""`polar-tools pull-push`: copy from any store to any other; on a spec, the stage mirror."""

import re
from pathlib import Path
from typing import Any

import click

from polar_tools import options

KINDS = click.Choice(["model", "dataset", "space"])
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class Size(options.Written):
    """Bytes a second, as in `10MB`."""

    name = "size"
    pattern = r"^(\d+(?:\.\d+)?) ?([kKmMgG]?)[bB]?(?:/[sS])?$"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        found = re.match(self.pattern, str(value))
        if found is None or not float(found[1]):
            self.fail(f"`{value}` is no number of bytes a second, such as 500kB, 10MB or 1GB", param, ctx)
        return max(1, int(float(found[1]) * UNITS[found[2].lower()]))


@click.command("pull-push")
@options.spec_argument("source", "target")
@click.option("--source", help="ORG/NAME on the Hub, hf://, s3://BUCKET/PREFIX, file://PATH or pypi://NAME==VERSION/PATH.")
@click.option("--target", help="ORG/NAME on the Hub, hf://, s3://BUCKET/PREFIX or file://PATH.")
@click.option("--source-repo-type", type=KINDS, help="Of a Hub's repository; model unless hf://datasets/... says otherwise.")
@click.option("--target-repo-type", type=KINDS, help="Of a bare ORG/NAME it is the source's unless it is given.")
@click.option("--revision", help="Branch, tag or commit of the source.")
@click.option("--sha256", help="What the archive of a pypi:// source must hash to.")
@click.option("--private", is_flag=True, help="Make the target repository private.")
@click.option("--message", help="Message of the commits.")
@click.option("--allow", multiple=True, metavar="PATTERN", help="Copy only what matches, such as '*.safetensors' or 'onnx/'; repeatable.")
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Leave out what matches; repeatable.")
@click.option("--all-refs", is_flag=True, help="Copy all branches and tags.")
@click.option("--delete-extra", is_flag=True, help="Delete what only the target has; never what the patterns leave out.")
@click.option("--safetensors-only", is_flag=True, help="Refuse sources with pickle files, which can run code when they are loaded.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be copied, skipped and deleted, and do nothing.")
@click.option("--manifest", type=click.Path(path_type=Path, dir_okay=False), help="Write what was copied, for `polar-tools verify`.")
@click.option("--token", help="Token for both sides; better in HF_TOKEN, where no list of processes shows it.")
@click.option("--source-token", help="Token for the source alone.")
@click.option("--target-token", help="Token for the target alone.")
@click.option("--source-endpoint", metavar="URL", help="Hub or S3 server of the source.")
@click.option("--target-endpoint", metavar="URL", help="Hub or S3 server of the target.")
@click.option("--source-profile", metavar="NAME", help="Profile of the AWS files for an s3:// source.")
@click.option("--target-profile", metavar="NAME", help="Profile of the AWS files for an s3:// target.")
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Files on the way at once.")
@click.option("--bandwidth", type=Size(), metavar="SIZE", help="Bytes a second at most, such as 10MB.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(spec: Path | None, **given: Any) -> None:
    """Copy a repository exactly, from any store to any other, or as SPEC says.

    Bytes stream from source to target and are hashed on the way; what is there already isn't sent; a run that was killed goes on
    where it was. At the end the target is listed again and compared.

    \b
      polar-tools pull-push --source microsoft/DialoGPT-medium --target your-name/my-dialogpt --private
      polar-tools pull-push --source org/name@v1.0 --target s3://bucket/models/name --manifest name.json
      polar-tools pull-push --source s3://bucket/models/name --target file://models/name

    Tokens and keys are taken from HF_TOKEN, `hf auth login`, and what boto3 reads (AWS_ACCESS_KEY_ID, profiles).
    """
    if spec is not None:
        if any(click.get_current_context().get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE for name in given):
            raise click.UsageError("give either SPEC, or --source and --target")
        options.run_stage("mirror", spec)
    elif given["source"] is None or given["target"] is None:
        raise click.UsageError("give either SPEC, or --source and --target")
    else:
        _copy(**given)


def _copy(*, as_json: bool, bandwidth: int | None, **given: Any) -> None:
    import json
    import signal

    from polar_tools import secrets, transfer
    from polar_tools.transfer.order import ordered
    from polar_tools.transfer.progress import Progress

    if any(given[name] for name in ("token", "source_token", "target_token")):
        click.echo("warning: until now the list of processes showed the token; set HF_TOKEN instead", err=True)
    if given["message"] and secrets.redacted(given["message"]) != given["message"]:
        raise click.UsageError("the message holds a token, and everyone who sees the repository sees its commit messages")
    progress = Progress(shown=True, bandwidth=bandwidth)
    signal.signal(signal.SIGTERM, _stopped)
    signal.signal(signal.SIGINT, _stopped)
    try:
        result = transfer.carry_out(ordered(**given), progress)
    finally:
        progress.close()
    for line in _warnings(result, given["dry_run"]):
        click.echo(f"warning: {line}", err=True)
    click.echo(json.dumps(result.as_dict(), indent=2, ensure_ascii=False) if as_json else _summary(result, given["dry_run"]))


def _stopped(*_: object) -> None:
    """End in order when a cluster or a person says so: an upload in parts is given up, a terminal is left as it was."""
    from polar_tools.errors import UnfinishedError

    raise UnfinishedError("stopped; whole files stay where they are, and the same command goes on from there")


def _warnings(result: Any, dry: bool) -> list[str]:
    lines = []
    if result.exposed:
        lines.append(f"the source is private, and {result.url} {'would be' if dry else 'is'} public; --private makes a private copy")
    if pickles := result.main.selection.pickles:
        lines.append(f"pickle files, which can run code when they are loaded: {', '.join(pickles)}")
    return lines


def _summary(result: Any, dry: bool) -> str:
    main = result.main
    lines = [
        f"{result.url}",
        f"  {'to copy' if dry else 'copied':9} {len(main.sent):>6,} files, {main.size(main.sent):,} bytes",
        f"  {'there':9} {len(main.there):>6,} files, {main.size(main.there):,} bytes",
    ]
    if main.taken:
        lines.insert(2, f"  {'by the Hub':9} {len(main.taken):>6,} files, {main.size(main.taken):,} bytes, copied within it")
    if main.deleted:
        lines.append(f"  {'to delete' if dry else 'deleted':9} {len(main.deleted):>6,} files: {', '.join(sorted(main.deleted)[:5])}")
    if main.selection.left_out:
        lines.append(f"  {'left out':9} {len(main.selection.left_out):>6,} files by the patterns")
    lines += [f"  {name}: {len(outcome.sent)} files {'to copy' if dry else 'copied'}" for name, outcome in result.refs.items()]
    if dry:
        lines += [f"  copy {path}" for path in sorted(main.sent)]
        lines += [f"  delete {path}" for path in sorted(main.deleted)]
    return "\n".join(lines)
