"""`polar-tools verify PATH`: is every byte what was recorded?"""

from pathlib import Path
from typing import Any

import click


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--endpoint", metavar="URL", help="Hub or S3 server of a copy that is elsewhere than the environment says.")
@click.option("--token", help="Token for the copy's Hub; better in HF_TOKEN, where no list of processes shows it.")
@click.option("--profile", metavar="NAME", help="Profile of the AWS files for a copy in S3.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Public key (PEM) that a publication is signed by."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(path: Path, as_json: bool, key: Path | None, **access: Any) -> None:
    """Hash again the artifacts at PATH and all that they were made from; exit status 1 names what changed.

    Where PATH is what was published, fetched to this machine, compare it with its claim, and check its signature. Where PATH is what
    `pull-push --manifest` wrote, look at the copy's target again; where it is a bundle, at its files.

    \b
      polar-tools verify results/describe
      polar-tools verify name.json
      polar-tools verify published --key publisher.pem
    """
    import json

    from polar_tools.errors import IntegrityError, UserError

    published = _published(path, key)
    if published is None and key is not None:
        raise UserError(f"--key is for a publication, and {path} is none")
    looked_at, differences, what, signed = published or (*(_copied(path, **access) or _bundled(path) or _made(path)), {})
    if as_json:
        click.echo(json.dumps({what: looked_at, "differences": differences, **signed}, indent=2, ensure_ascii=False))
    if differences:
        raise IntegrityError(f"{len(differences)} differences in {len(looked_at)} {what}:\n" + "\n".join(differences))
    if not as_json:
        click.echo(f"{path}: {len(looked_at)} {what}, all as recorded")
        if signed.get("signed_by"):
            click.echo(f"signed by the key {signed['signed_by']}{signed['note']}")


def _published(path: Path, key: Path | None) -> tuple[list[str], list[str], str, dict[str, Any]] | None:
    from polar_tools import claims

    if not claims.is_publication(path):
        return None
    from polar_tools.publishing import verifying

    found = verifying.verify(path, key)
    note = ", by the key that came along: compare it with one that you trust, or give that by --key" if found.key_came_along else ""
    return found.files, found.differences, "published files", {"signed_by": found.signed_by, "note": note}


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
