"""`polar-tools verify PATH`: is every byte what was recorded?"""

from pathlib import Path
from typing import Any

import click


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--endpoint", metavar="URL", help="Hub or S3 server of a copy that is elsewhere than the environment says.")
@click.option("--token", help="Token for the copy's Hub; better in HF_TOKEN, where no list of processes shows it.")
@click.option("--profile", metavar="NAME", help="Profile of the AWS files for a copy in S3.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(path: Path, as_json: bool, **access: Any) -> None:
    """Hash again the artifacts at PATH and all that they were made from; exit status 1 names what changed.

    Where PATH is what `pull-push --manifest` wrote, look at the copy's target again; where it is a bundle, at its files.
    """
    import json

    from polar_tools.errors import IntegrityError

    looked_at, differences, what = _copied(path, **access) or _bundled(path) or _made(path)
    if as_json:
        click.echo(json.dumps({what: looked_at, "differences": differences}, indent=2, ensure_ascii=False))
    if differences:
        raise IntegrityError(f"{len(differences)} differences in {len(looked_at)} {what}:\n" + "\n".join(differences))
    if not as_json:
        click.echo(f"{path}: {len(looked_at)} {what}, all as recorded")


def _copied(path: Path, **access: Any) -> tuple[list[str], list[str], str] | None:
    from polar_tools.storage.base import Access
    from polar_tools.transfer import manifest

    if (copied := manifest.read(path)) is None:
        return None
    return sorted(copied["files"]), manifest.verify(copied, Access(**access)), "files"


def _bundled(path: Path) -> tuple[list[str], list[str], str] | None:
    from polar_tools.bundling import listing

    if (told := listing.read(path)) is None:
        return None
    return [*told["files"], *told["links"]], list(listing.differences(path)), "files"


def _made(path: Path) -> tuple[list[str], list[str], str]:
    from polar_tools import provenance

    return *provenance.verify(path), "artifacts"
