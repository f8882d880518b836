"""Publications of the tiny project: its config with a `publish:` section, their specs, and the commands on them."""

import contextlib
import os
from pathlib import Path
from typing import Any

import yaml

from polar_tools import config as configs
from polar_tools.plan import Plan
from tests import tiny

KNOWN = {"llama": "apache-2.0", "bert": "mit", "sayings": "cc-by-4.0"}
"""Licences of what the tiny project is made from, which its files don't tell."""


def settle(project: Path, **publish: dict[str, Any]) -> Path:
    """Add publications to the project's config, as `snakemake -n` would settle them; the folder where they lie."""
    file = project / "config" / "config.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["publish"] = {name: {"licenses": KNOWN, **fields} for name, fields in publish.items()}
    file.write_text(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), encoding="utf-8")
    with contextlib.chdir(project):
        Plan(configs.load(file)).settle()
    return project / "results" / "publish"


def publish(project: Path, name: str, *words: str, **environment: str):
    """`polar-tools publish` on a publication, as a process of its own."""
    return tiny.run("polar-tools", "publish", f"results/publish/{name}/spec.json", *words, cwd=project, **environment)


def here(project: Path, name: str, *words: str):
    """The same in this process, for what needs no network."""
    return tiny.inside("publish", f"results/publish/{name}/spec.json", *words, cwd=project)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def own(path: Path) -> Path:
    """A file with bytes of its own, which a test may change without changing those that it is linked to."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    return path


def flip(path: Path) -> None:
    """Let the last byte of a file be another one; its size and what it is linked to stay."""
    data = own(path).read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path)
