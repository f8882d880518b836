"""The documentation's commands for a cluster, typed as they stand there."""

import json

import pytest

from tests.docs import pages, shell
from tests.slurm.cluster import Cluster
from tests.slurm.runs import Project

HERE = "tests/slurm/test_pages.py"
PAGES = [page for page in pages.every() if any(command.elsewhere == HERE for command in pages.commands(page))]
ORIGINALS = [page for page in PAGES if pages.original(page) == page]
NAMES = {
    "results/describe/": "results/say/",
    "--gpus-per-node=4": "--gpus-per-node=2",
    "slurm_account=ACCOUNT slurm_partition=PARTITION": "slurm_account=nobody slurm_partition=gpu",
}
"""What the pages call something -> what this project and this cluster have."""
EVALUATED = "results/say/seed0/evaluate/sayings"


@pytest.mark.parametrize("page", ORIGINALS)
def test_commands_do_what_the_page_says(page: str, project_here: Project, cluster: Cluster) -> None:
    folder = project_here.folder
    if "srun" in (text := pages.text_of(page)) and "--nodes=2" in text:
        project_here.edit(("    per_device_train_batch_size: 4\n", "    per_device_train_batch_size: 2\n    nodes: 2\n"))
    with shell.opened(folder, cluster.environment) as bash:
        assert bash.type("snakemake -n").status == 0
        for command in pages.commands(page):
            if command.elsewhere == HERE:
                (folder / EVALUATED / "record.json").unlink(missing_ok=True)  # so that there is something to submit
                line = command.text
                for name, other in NAMES.items():
                    line = line.replace(name, other)
                done = bash.type(line)
                assert done.status == 0, f"{command.block.place}: {line} -> {done.status}\n{done.said}"
                if line.startswith("snakemake") and not line.endswith("-n"):
                    assert (folder / EVALUATED / "record.json").is_file()
                if line.startswith("srun"):
                    assert json.loads(project_here.record())["facts"]["world_size"] == 2
