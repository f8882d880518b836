"""No secret stands in any file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from polar_tools import secrets
from polar_tools.gates import base
from polar_tools.storage.base import CHUNK

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Parcel

TITLE = "no file holds a secret: none of this machine's, nothing of the form of a token, no file made for keys"
MEANS = (
    "take it out of where it comes from (a row: filter `pattern` or `personal_data`), make it anew, for others may have seen it; "
    "of what only looks like one, waive `secrets`"
)
WAIVABLE = True
OF_FINISHED = False
FILES = re.compile(
    r"(^|/)(\.env(\.[^/]*)?|\.netrc|\.git-credentials|\.npmrc|\.pypirc|id_(rsa|dsa|ecdsa|ed25519)|credentials|[^/]*\.(p12|pfx|key|keystore))$"
)
"""Files that are made for secrets."""
FORMS = {
    "a token of Hugging Face": rb"\bhf_[A-Za-z0-9]{30,}",
    "a key of AWS": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})",
    "a token of GitLab": rb"\bglpat-[A-Za-z0-9_-]{20,}",
    "a key of OpenAI or Anthropic": rb"\bsk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{32,}",
    "a key of Google": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "a token of Slack": rb"\bxox[abeoprs]-[0-9A-Za-z-]{20,}",
    "a token of PyPI": rb"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    "a token of npm": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "a key of Stripe": rb"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "a JSON Web Token": rb"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}",
    "a private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "a password in a URL": rb"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"'<>]{1,60}:[^\s/:@\"'<>{}$]{3,60}@[A-Za-z0-9]",
}
"""Forms so distinct that chance hardly makes one, even in a vocabulary; each issuer documents its own."""
OVERLAP = 4096
"""Bytes that are looked at again with the next piece: longer than any token."""


def check(parcel: Parcel) -> base.Outcome:
    """Names of files, every byte, and the values in Parquet files, where compression hides them."""
    from huggingface_hub import get_token

    held = {name: value.encode() for name, value in {**secrets.held(), "the Hub's token": get_token() or ""}.items() if value}
    files = [f"{name}: a file for secrets" for name in parcel.names if FILES.search(name) or FILES.search(PurePosixPath(name).name)]
    ours = [line for name in parcel.names for line in _held(parcel.folder / name, name, held)]
    forms = [line for name in parcel.names if not name.endswith(".safetensors") for line in _formed(parcel.folder / name, name)]
    problems = [*ours, *files, *forms]
    return base.judged(
        problems, f"{len(parcel.names)} files, and none of {len(held)} secrets of this environment in them", final=bool(ours)
    )


def _held(path: Path, name: str, held: dict[str, bytes]) -> list[str]:
    """Where a secret of this environment stands; it is named, and not shown."""
    found = {owner for piece in _pieces(path) for owner, value in held.items() if value in piece}
    return [f"{name}: the value of {owner}" for owner in sorted(found)]


def _formed(path: Path, name: str) -> list[str]:
    found = {kind for piece in _pieces(path) for kind, form in FORMS.items() if re.search(form, piece)}
    return [f"{name}: {kind}" for kind in sorted(found)]


def _pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file piece by piece, each with the end of the one before; of Parquet its values, besides."""
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield before + chunk
            before = chunk[-OVERLAP:]
    if path.suffix == ".parquet":
        yield from _values(path)


def _values(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=1000):
        yield "\n".join(text for row in batch.to_pylist() for text in _texts(row)).encode()


def _texts(value: object) -> Iterator[str]:
    """Every text in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
