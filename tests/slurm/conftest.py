"""The cluster that these tests share, and what they run on it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import cluster as slurm
from tests.slurm.runs import Project

DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
PACKAGES = ("slurm-wlm", "munge")
DATABASE = ("slurmdbd", "mariadbd")
DATABASE_PACKAGES = ("slurmdbd", "mariadb-server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


def provided(programs: tuple[str, ...], packages: tuple[str, ...]) -> None:
    """See to it that the programs are here, or skip and say why."""
    missing = [program for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        pytest.skip(f"a cluster of virtual nodes is started by root{f', and {missing[0]} is not here' if missing else ''}")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        pytest.skip(f"{missing[0]} is not here, and this is no Debian on which to install {' '.join(packages)}")
    for command in (("apt-get", "update"), ("apt-get", "install", "--yes", "--no-install-recommends", *packages)):
        done = subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{missing[0]} is not here, and `{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    """A cluster without accounting, as most test machines are."""
    provided(DAEMONS, PACKAGES)
    with slurm.running(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: slurm.Cluster) -> Iterator[slurm.Cluster]:
    """The cluster, with nothing in its queue and every node well."""
    shared_cluster.quiet()
    yield shared_cluster


@pytest.fixture
def accounted(tmp_path: Path) -> Iterator[slurm.Cluster]:
    """A cluster with slurmdbd."""
    provided((*DAEMONS, *DATABASE), (*PACKAGES, *DATABASE_PACKAGES))
    with slurm.running(tmp_path / "slurm", accounting=True, AccountingStorageEnforce="associations") as cluster:
        yield cluster


@pytest.fixture
def fresh_here(fresh: Path, cluster: slurm.Cluster) -> Iterator[Project]:
    """A project in which nothing has been made, on the cluster."""
    project = Project(fresh, cluster)
    yield project
    project.end()


@pytest.fixture
def project_here(project: Path, cluster: slurm.Cluster) -> Iterator[Project]:
    """A project in which everything has been made on this machine, on the cluster."""
    on_cluster = Project(project, cluster)
    yield on_cluster
    on_cluster.end()
