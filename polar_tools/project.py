"""The files of a project: the workflow, its profiles and environments, as they come with this package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from polar_tools.errors import UserError

FOLDER = Path(__file__).with_name("workflow_files")
"""In a clone it holds links to the files that are edited; an installed package has the files themselves."""
LINK, TARGET = "slurm", "profiles/slurm"
"""Where `snakemake --profile slurm` looks, beside the Snakefile."""
IGNORED = ".gitignore"
MADE = (".snakemake/", "/resources/", "/results/", "/logs/", "/benchmarks/", ".*.aside/", "/mlflow/", "/tensorboard/", "/wandb/")
"""What runs make, and no git needs."""


def is_there(folder: Path) -> bool:
    """Whether `folder` is a project."""
    return (folder / "Snakefile").exists() and (folder / "workflow").is_dir()


def lay(folder: Path) -> None:
    """Make `folder` a project, if it isn't one; what else lies there stays. Raises UserError where something is in the way."""
    if is_there(folder):
        return
    names = [path.relative_to(FOLDER) for path in _files()]
    if taken := [name.as_posix() for name in names if (folder / name).exists()]:
        raise UserError(f"{folder} holds something else called {taken[0]}; name a new folder")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / name, folder / name)
    if not os.path.lexists(folder / LINK):
        (folder / LINK).symlink_to(TARGET)
    if not (folder / IGNORED).exists():
        (folder / IGNORED).write_text("\n".join(MADE) + "\n", encoding="utf-8", newline="\n")


def _files() -> Iterator[Path]:
    """All files, those behind links too, sorted."""
    for folder, folders, names in os.walk(FOLDER, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (Path(folder, name) for name in sorted(names))
