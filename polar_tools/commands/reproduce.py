"""`polar-tools reproduce REF`: is what was published made again by what it says that it was made from?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("reproduce")
@click.argument("ref")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default="reproduced", show_default=True, help="A new folder for it."
)
@click.option("--only", type=click.Choice(["evaluate"]), help="Measure the published weights again; train nothing.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="Folder with the local files that the config names.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, max=1),
    default=0.01,
    show_default=True,
    help="By which share numbers and weights may differ.",
)
@click.option("--endpoint", metavar="URL", help="Hub or S3 server of the publication, where it is elsewhere than the environment says.")
@click.option("--token", help="Token for the publication's Hub; better in HF_TOKEN, where no list of processes shows it.")
@click.option("--profile", metavar="NAME", help="Profile of the AWS files for a publication in S3.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
def command(ref: str, as_json: bool, endpoint: str | None, token: str | None, profile: str | None, **asked: Any) -> None:
    """Make a published model once more from its own record, in a clean folder, and print a certificate.

    REF is ORG/NAME on the Hub, hf://, s3://, file://, or a folder. The sources are fetched at the recorded commits, the same stages run,
    and each artifact is BIT-IDENTICAL, WITHIN TOLERANCE or DIFFERENT; of the first that isn't the same it is said why: config, data,
    versions of libraries, hardware. certificate.json stays in the folder. Exit status 1 where anything is DIFFERENT.

    \b
      polar-tools reproduce org/describe
      polar-tools reproduce s3://bucket/models/describe --only evaluate
    """
    import contextlib
    import json
    import sys

    from polar_tools import options
    from polar_tools.reproducing import certificate, reproduction
    from polar_tools.reproducing.verdicts import DIFFERENT
    from polar_tools.storage.base import Access

    options.set_up("mirror")
    with contextlib.redirect_stdout(sys.stderr):  # what stages say on their way is no part of the certificate
        found = reproduction.reproduce(ref, access=Access(endpoint, token, profile), **asked)
    click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if as_json else "\n".join(certificate.lines(found)))
    if found.verdict == DIFFERENT:
        sys.exit(1)
