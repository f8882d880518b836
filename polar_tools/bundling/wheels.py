"""The packages that a project needs, as wheels with their hashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from polar_tools.errors import StorageError, UserError
from polar_tools.records import sha256_of, write_whole

FOLDER, REQUIREMENTS = "wheels", "wheels/requirements.txt"
BUILDS = ("setuptools>=80", "wheel")
"""What installs the project itself, without an index."""
CONSTRAINTS = Path("envs/cpu.txt")


def collect(bundle: Path, extras: Sequence[str]) -> int:
    """Put the wheels of the project in `bundle` into wheels/, and requirements.txt with their hashes; returns how many they are.

    What an index has only as source is built here. They are for this Python and this kind of machine. Raises UserError for a folder that
    can't be installed, StorageError where pip fails.
    """
    if not (bundle / "pyproject.toml").is_file():
        raise UserError(
            "there is no pyproject.toml here that says which packages are needed: bundle in a clone of POLAR, or use --no-wheels"
        )
    folder = bundle / FOLDER
    constraints = ["--constraint", str(bundle / CONSTRAINTS)] if (bundle / CONSTRAINTS).is_file() else []
    project = f"{bundle}[{','.join(extras)}]" if extras else str(bundle)
    _pip("wheel", "--quiet", "--wheel-dir", str(folder), *constraints, *BUILDS, *_exact(bundle / CONSTRAINTS), project)
    for built in folder.glob(f"{_name(bundle).replace('-', '_')}-*.whl"):
        built.unlink()  # it is installed from its own files, which can be edited
    for rest in (bundle / "build", *bundle.glob("*.egg-info")):
        _remove(rest)
    wheels = sorted(folder.glob("*.whl"))
    write_whole(bundle / REQUIREMENTS, "".join(map(_requirement, wheels)).encode())
    return len(wheels)


def _exact(constraints: Path) -> list[str]:
    """torch in the version that was tried: an index may serve gigabytes of CUDA for a plain `torch`."""
    lines = constraints.read_text(encoding="utf-8").splitlines() if constraints.is_file() else []
    return [line for line in lines if line.startswith("torch==")]


def _requirement(wheel: Path) -> str:
    from packaging.utils import parse_wheel_filename

    name, version, _, _ = parse_wheel_filename(wheel.name)
    return f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n"


def _name(bundle: Path) -> str:
    import tomllib

    told = tomllib.loads((bundle / "pyproject.toml").read_text(encoding="utf-8"))
    return str(told.get("project", {}).get("name", ""))


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)


def _pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise StorageError("pip can't collect the packages: " + "\n".join(said or done.stderr.splitlines()[-5:]))
