"""What a person compares with `diff`: an artifact, an experiment, a project's folder, a state in git, or a config file."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from polar_tools import config as configs
from polar_tools.errors import ConfigError, UserError
from polar_tools.fields import payload_of
from polar_tools.queries.project import Made, artifacts
from polar_tools.spelling import did_you_mean

CONFIG = Path("config/config.yaml")


@dataclass(frozen=True)
class Side:
    """One of the two: its config, where a person named one that has one, and its artifacts by names that both sides have alike."""

    name: str
    config: dict[str, Any] | None = None
    artifacts: dict[str, Made] = field(default_factory=dict)
    own: str = ""
    """What stands at the beginning of its own paths and not of the other's."""

    def spec(self, made: Made) -> dict[str, Any]:
        """What an artifact's tool was told, its own paths written as the other side's would be."""
        told: dict[str, Any] = _renamed(made.spec, self.own)
        return told


@contextmanager
def side(given: str) -> Iterator[Side]:
    """What a person means; raises UserError for what is nothing that could be compared."""
    path = Path(given)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        yield Side(given, _config(path))
    elif (path / "record.json").is_file():
        yield _artifact(path)
    elif (path / CONFIG).is_file():
        yield _project(given, path)
    elif Path("results", given).is_dir():
        yield _experiment(given)
    elif _is_revision(given):
        with TemporaryDirectory(prefix="polar-") as folder:
            _check_out(given, Path(folder))
            yield _project(given, Path(folder))
    else:
        known = sorted({file.relative_to("results").parts[0] for file in Path("results").glob("*/**/spec.json")})
        if hint := did_you_mean(given, known):
            raise UserError(f"there is nothing called `{given}` to compare{hint}")
        raise UserError(
            f"`{given}` is no artifact's folder, no experiment or run in results/, no project's folder (with {CONFIG}), no config file, "
            "and no commit, branch or tag of this repository"
        )


def _artifact(folder: Path) -> Side:
    from polar_tools.provenance import root_of

    root = root_of(folder)
    path = folder.resolve().relative_to(root).as_posix()
    made = artifacts(root)[path]
    data = {name: artifacts(root)[name] for name in _data(made) if name in artifacts(root)}
    return Side(str(folder), None, {"": made, **{f"data {number}": one for number, one in enumerate(data.values(), 1)}}, own=f"{path}/")


def _experiment(given: str) -> Side:
    below = f"results/{given.strip('/')}/"
    made = artifacts(Path())
    own = {path.removeprefix(below): one for path, one in made.items() if path.startswith(below)}
    data = sorted({name for one in own.values() for name in _data(one) if name in made})
    return Side(given, None, {**own, **{f"data {number}": made[name] for number, name in enumerate(data, 1)}}, own=below)


def _project(given: str, root: Path) -> Side:
    try:
        made = artifacts(root)
    except UserError:  # a state in git has a config, and no results
        made = {}
    return Side(given, _config(root / CONFIG), made)


def _data(made: Made) -> list[str]:
    """The prepared rows that an artifact was made from directly."""
    spec = made.spec
    payloads = [spec.get("test") if isinstance(spec.get("test"), str) else None, spec.get("experiment", {}).get("dataset")]
    return sorted({payload_of(payload) for payload in payloads if payload})


def _config(file: Path) -> dict[str, Any]:
    """A config with all its defaults; as it is written where this version takes it for none."""
    raw = configs.read(file)
    try:
        return configs.parse(raw, str(file)).model_dump(mode="json")
    except ConfigError:
        return raw


def _is_revision(given: str) -> bool:
    if not re.fullmatch(r"[\w./@{}~^-]+", given) or given.startswith("-"):
        return False
    return _git("rev-parse", "--verify", "--quiet", f"{given}^{{commit}}").returncode == 0


def _check_out(revision: str, folder: Path) -> None:
    """The config of a commit, and its results where git has them."""
    listed = _git("ls-tree", "-r", "--name-only", revision).stdout.decode().splitlines()
    if str(CONFIG) not in listed:
        raise UserError(f"the commit `{revision}` has no {CONFIG}")
    there = [name for name in (str(CONFIG.parent), "results", "resources") if any(file.startswith(f"{name}/") for file in listed)]
    archive = folder / "archive.tar"
    _git("archive", "--output", str(archive), revision, *there)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], capture_output=True, check=False)  # noqa: S607 (the person's own)


def _renamed(value: Any, own: str) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(item, own) for name, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, own) for item in value]
    return f".../{value.removeprefix(own)}" if own and isinstance(value, str) and value.startswith(own) else value
