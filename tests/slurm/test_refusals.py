"""What no attempt can mend: it is said with what to do, and neither submitted nor tried again."""

import os
import shutil
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.runs import QUICK, TARGET, Project, records
from tests.tiny import run

KINDS = "results/datasets/kinds/manifest.json"
SLURM = {"sbatch", "squeue", "sacct", "scontrol", "srun", "scancel", "sinfo"}


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("slurm_partition: gup", "Set `slurm_partition` under run.resources"),
        ("slurm_partition: gpu, gpu_model: a100", "No node of the partition has so much"),
        ("runtime: 100000, slurm_partition: gpu", "set `most.runtime`"),
        ("mem_mb: 9000000", "lower `gpus`, `threads` or `nodes` of the experiment or `mem_mb`"),
    ],
)
def test_job_that_slurm_would_never_start_is_refused_with_what_to_do(project_here: Project, asked: str, advice: str) -> None:
    gpus = ("method: sft\n", "method: sft\n    gpus: 1\n") if "gpu_model" in asked else ("max_steps: 4\n", "max_steps: 5\n")
    project_here.edit(gpus, ("run:\n", f"run:\n  resources: {{train: {{{asked}}}}}\n"))
    project_here.start(TARGET, *QUICK)
    assert project_here.finish(60) == 1
    assert advice in project_here.said, project_here.said
    assert "Trying to restart" not in project_here.said and "Traceback" not in project_here.said
    assert project_here.queue() == ""


def test_more_gpus_than_any_node_has_are_not_waited_for(project_here: Project) -> None:
    project_here.edit(("method: sft\n", "method: sft\n    gpus: 5\n"))
    project_here.start(TARGET, *QUICK)
    assert project_here.finish(60) == 1
    assert "No node of the partition has so much: lower `gpus`" in project_here.said
    assert project_here.queue() == ""


def test_mistake_in_the_config_is_found_by_one_job(fresh_here: Project) -> None:
    fresh_here.edit(("{text: answer", "{text: anser"))
    fresh_here.start(KINDS, *QUICK)
    assert fresh_here.finish() == 1
    assert "anser" in fresh_here.said and "not tried again: it would end so each time" in fresh_here.said
    assert len(fresh_here.jobs(comment="rule_prepare")) == 1


def test_where_there_is_no_slurm_it_says_so(fresh: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in ("/usr/bin", "/bin", "/usr/local/bin"):
        for program in Path(folder).iterdir():
            if program.name not in SLURM and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    snakemake = shutil.which("snakemake")
    assert snakemake is not None
    done = run("snakemake", "--profile", "slurm", cwd=fresh, PATH=f"{Path(snakemake).parent}{os.pathsep}{programs}")
    assert done.returncode == 1
    assert "there is no Slurm here" in done.stderr + done.stdout and "Traceback" not in done.stderr


def test_with_accounting_an_experiment_is_made_and_a_foreign_account_refused(fresh: Path, finished: Path, accounted: Cluster) -> None:
    project = Project(fresh, accounted)
    project.edit(("run:\n", "run:\n  resources: {prepare: {slurm_account: nobody}}\n"))
    try:
        project.start(KINDS, *QUICK)
        assert project.finish(60) == 1
        assert "Set `slurm_account` under run.resources" in project.said
        project.edit(("nobody", "lab"))
        project.run("experiment_say", "--default-resources", "slurm_account=lab", "mem_mb=4000", "runtime=60", *QUICK)
        assert records(project.folder).items() <= records(finished).items()
        told = accounted.says("sacct", "--noheader", "--allocations", "--parsable2", "--format=account,state,comment").splitlines()
        assert "lab|COMPLETED|rule_train_wildcards_say_seed0" in told
    finally:
        project.end()
