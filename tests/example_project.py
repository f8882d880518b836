"""A working folder with the workflow and example configs, in which something lies wherever the examples have their data.

What is planned doesn't depend on what is in the files, so that stand-ins do for a dry run.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.tiny import REPOSITORY, WORKFLOW_FILES, run


def make(folder: Path, examples: str) -> Path:
    """`folder`, made, with the workflow and the folder `examples` of the repository."""
    folder.mkdir()
    for name in WORKFLOW_FILES:
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    shutil.copytree(REPOSITORY / examples, folder / examples)
    return folder


def stand_in(folder: Path, sources: Iterable[str]) -> None:
    """Empty files for those of `sources` that are of this machine and not there."""
    for path in (folder / source.removeprefix("file://") for source in sources if source.startswith("file://")):
        if not path.exists():
            file = path if path.suffix else path / "metadata.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()


def dry_run(folder: Path, *configs: str) -> set[str]:
    """The manifests that Snakemake would have made below results/."""
    done = run("snakemake", "-n", "--configfile", *configs, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = [line.strip().removeprefix("output: ") for line in done.stdout.splitlines() if line.strip().startswith("output: ")]
    return {line for line in lines if line.startswith("results/")}
