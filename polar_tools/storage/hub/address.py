"""What a person may write for a repository, and what it means."""

from __future__ import annotations

import re
from typing import NamedTuple

from polar_tools.errors import ConfigError

TYPES = ("model", "dataset", "space")


class Address(NamedTuple):
    """A repository of a Hub, at a revision."""

    repo_type: str
    repo_id: str
    revision: str


def parse(uri: str) -> Address:
    """The parts of an hf:// URI; raises ConfigError for what is none."""
    found = re.fullmatch(r"hf://(?:(models|datasets|spaces)/)?([^@/]+(?:/[^@/]+)?)(?:@(.+))?", uri)
    if found is None:
        raise ConfigError(f"`{uri}` is not of the form hf://ORG/NAME@REVISION, or hf://datasets/ORG/NAME@REVISION")
    return Address((found[1] or "models").removesuffix("s"), found[2], found[3] or "main")


def written(uri: str, repo_type: str | None, revision: str | None) -> str:
    """`uri` with a type and a revision that were given beside it; raises ConfigError where both say something, and not the same."""
    address = parse(uri)
    typed = re.match("hf://(models|datasets|spaces)/", uri)
    if repo_type is not None and typed and typed[1] != f"{repo_type}s":
        raise ConfigError(f"`{uri}` is not a {repo_type}, as the repository type beside it says")
    if revision is not None and "@" in uri and address.revision != revision:
        raise ConfigError(f"`{uri}` names another revision than `{revision}`, given beside it")
    kind = repo_type or address.repo_type
    prefix = "" if kind == "model" else f"{kind}s/"
    named = revision or (address.revision if "@" in uri else None)
    return f"hf://{prefix}{address.repo_id}{f'@{named}' if named else ''}"
