"""A bundle from beginning to end: the project's files, the sources as mirrored snapshots, local files, wheels, and the list of all."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polar_tools import config as configs
from polar_tools import options, provenance, records
from polar_tools.bundling import listing, wheels
from polar_tools.errors import IntegrityError, UserError
from polar_tools.plan import Plan
from polar_tools.specs import MirrorSpec

CONFIG = Path("config/config.yaml")
PROJECT = (
    *("Snakefile", "Makefile", "README.md", "LICENSE", "pyproject.toml", "dvc.yaml", ".dvcignore", "slurm"),
    *("config", "envs", "polar_tools", "profiles", "workflow"),
)
"""What of a project that is under no git is its own."""
MADE = ("resources", "results", "logs", "benchmarks", wheels.FOLDER)


def pack(config: Path, output: Path, extras: Sequence[str] | None) -> dict[str, Any]:
    """Pack what `config` needs into the folder `output`, below the working directory's project, and return what bundle.json says.

    Without `extras` no wheels are packed. Sources that are mirrored here already are taken over; the others are fetched. Interrupted, the
    same call goes on. Raises UserError for local files outside of the project, IntegrityError where a snapshot isn't as recorded.
    """
    root, output = Path.cwd(), output.resolve()
    plan = Plan(configs.load(config))
    _refuse(output, root)
    output.mkdir(parents=True, exist_ok=True)
    for name in _own_files(root):
        _copy(root / name, output / name)
    (output / CONFIG).parent.mkdir(exist_ok=True)
    shutil.copyfile(config, output / CONFIG)
    for name in _local_files(plan):
        _copy(root / name, output / name)
    _sources(plan, root, output)
    packages = 0 if extras is None else wheels.collect(output, extras)
    about = {
        "config": config.as_posix(),
        "sources": {path: plan.artifacts[path].spec.source for path in _mirrors(plan)},  # type: ignore[attr-defined]
        "wheels": packages,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": sysconfig.get_platform(),
    }
    return listing.write(output, about)


def _refuse(output: Path, root: Path) -> None:
    """Raise UserError where the bundle would hold itself, or something else lies there."""
    if output == root or root.is_relative_to(output):
        raise UserError(f"{output} is the project itself, or holds it; name another folder by --output")
    if output.is_dir() and any(output.iterdir()) and not (output / "Snakefile").is_file():
        raise UserError(f"{output} holds something else; name an empty or a new folder by --output")


def _own_files(root: Path) -> list[str]:
    """The files of the project: those that git knows, as they are now, or those that a project has."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)  # noqa: S607 (the person's own)
    known = [name for name in done.stdout.split("\0") if name] if done.returncode == 0 else []
    if "Snakefile" not in known:
        found = (path for name in PROJECT for path in (root / name, *(root / name).rglob("*")))
        known = [path.relative_to(root).as_posix() for path in found if path.is_symlink() or path.is_file()]
        known = [name for name in known if "__pycache__" not in name and (root / "Snakefile").is_file()]
    if not known:
        raise UserError("there is no Snakefile here: run this in the project's folder")
    return sorted(name for name in set(known) if name.partition("/")[0] not in MADE and (root / name).exists())


def _copy(source: Path, target: Path) -> None:
    """`source` as it is now; a link stays one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)


def _local_files(plan: Plan) -> list[str]:
    """The files of this machine that artifacts are made from; raises UserError for those that another machine would look for elsewhere."""
    found = sorted({path for made in plan.artifacts.values() for path in made.spec.local_files()})
    if outside := [path for path in found if Path(path).is_absolute() or ".." in Path(path).parts]:
        raise UserError(f"{outside[0]} lies outside of the project; put it into the project, and let the config name it from there")
    return found


def _mirrors(plan: Plan) -> list[str]:
    return [path for path, made in plan.artifacts.items() if isinstance(made.spec, MirrorSpec)]


def _sources(plan: Plan, root: Path, output: Path) -> None:
    """The snapshots, each taken over where it is here, or else fetched; every byte is compared with the record."""
    states = plan.states(root)
    for path in _mirrors(plan):
        if states[path] == "done" and not (output / path / "record.json").is_file():
            shutil.copytree(root / path, output / path, dirs_exist_ok=True)
        (output / path).mkdir(parents=True, exist_ok=True)
        records.write_whole(output / path / "spec.json", plan.artifacts[path].frozen)
    with contextlib.chdir(output):
        for path in _mirrors(plan):
            options.run_stage("mirror", Path(path))
        if wrong := list(_damaged(_mirrors(plan))):
            raise IntegrityError("these are not as recorded; remove their folders and run the same command again:\n" + "\n".join(wrong))


def _damaged(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        yield from provenance.verify(Path(path))[1]
