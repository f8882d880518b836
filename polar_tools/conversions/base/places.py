"""Where models, rows and stores lie, as other programs say it, and as a config does."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from polar_tools.conversions.base import Draft
from polar_tools.errors import UserError
from polar_tools.storage import PATHS

FILE = re.compile(r"\.(csv|tsv|jsonl?|parquet|arrow|txt|zip)(\.(gz|zst|xz|bz2))?$", re.IGNORECASE)
"""What the name of a file of rows ends with."""
REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")


def located(text: str, repo_type: str = "model") -> str:
    """A path of this machine, a repository of the Hub, or a URI, as a URI. Paths stay as they are written: below the working directory.

    What could be both is the path where there is one, as the libraries have it that such programs load with.
    """
    if "://" in text:
        return text
    if Path(text).expanduser().exists() or text.startswith(PATHS) or FILE.search(text):
        return f"file://{Path(text).expanduser()}"
    if REPOSITORY.fullmatch(text):
        return f"hf://{'datasets/' if repo_type == 'dataset' else ''}{text}"
    raise UserError(f"there is no `{text}` here, and it is no repository of the Hub (ORG/NAME) either; write a path, ORG/NAME or a URI")


def in_bucket(bucket: str, name: str) -> str:
    """What lies under a name in a bucket, as a URI."""
    return f"s3://{bucket.strip('/')}/{name.strip('/')}"


def is_file(uri: str) -> bool:
    """Whether a URI means one file of this machine, rather than a folder or something elsewhere."""
    path = uri.removeprefix("file://")
    return uri.startswith("file://") and (Path(path).is_file() or FILE.search(path) is not None)


def server(url: str) -> tuple[str, str | None, str | None]:
    """The address of a server without who somebody is, the user, and the password; https:// where no scheme is written."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, "")), parts.username, parts.password


def store(draft: Draft, name: str, url: str) -> None:
    """Have an S3 server's address stand in the environment."""
    address, user, password = server(url)
    draft.environment["AWS_ENDPOINT_URL"] = address
    draft.note("environment", name, ("AWS_ENDPOINT_URL",), f"an address is no part of a training: export AWS_ENDPOINT_URL={address}")
    _keep_who(draft, name, {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": password})


def tracked(draft: Draft, name: str, url: str) -> None:
    """Have runs be seen on an MLflow server."""
    address, user, password = server(url) if url.startswith(("http://", "https://")) else (url, None, None)
    draft.put("run.trackers", [{"tracker": "mlflow", "tracking_uri": address}], name)
    _keep_who(draft, name, {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password})


def _keep_who(draft: Draft, name: str, found: dict[str, str | None]) -> None:
    """Have the user and password of an address stand in the environment."""
    for variable, value in found.items():
        if value:
            draft.keep_secret(name, variable, value)
