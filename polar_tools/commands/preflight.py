"""`polar-tools preflight SPEC`: is what would be trained what was asked for?"""

from pathlib import Path

import click

from polar_tools import options


@click.command("preflight")
@options.spec_argument()
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def command(spec: Path, as_json: bool) -> None:
    """Look at 8 rows of the training that SPEC says, with its model and its trainer, and write nothing; exit status 2 says what is wrong.

    `train` does so by itself first. What each check proves, and what to do where it fails: docs/preflight.md.

    \b
      polar-tools preflight results/describe/seed0/train/spec.json
    """
    import json
    import time

    options.set_up("train")
    from polar_tools import artifact, preflight

    asked, _ = artifact.asked(options.folder_of(spec), "train")
    clock = time.monotonic()
    findings = preflight.look(asked)
    if as_json:
        click.echo(json.dumps(preflight.as_dict(findings), indent=2, ensure_ascii=False))
    else:
        click.echo(preflight.table(findings))
        click.echo(f"{time.monotonic() - clock:.1f} s")
    preflight.refuse(findings)
