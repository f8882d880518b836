"""The other ways into the same DAG: a cluster's profile, and DVC over the outputs."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from polar_tools import config
from polar_tools.plan import Plan
from tests.tiny import REPOSITORY, run


def jobs(project: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """Manifest -> resources of every job that a dry run plans."""
    done = run("snakemake", "-n", *arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    blocks = re.findall(r"output: (\S+).*?resources: (.*?)\n", done.stdout + done.stderr, re.DOTALL)
    return {output: dict(part.split("=", 1) for part in resources.split(", ") if "=" in part) for output, resources in blocks}


def test_slurm_profile_plans_the_same_dag_with_resources(fresh: Path) -> None:
    file = fresh / "config/config.yaml"
    text = file.read_text(encoding="utf-8").replace("method: cls", "method: cls\n    gpus: 2")
    file.write_text(text + "  resources: {train: {mem_mb: 64000, runtime: 600}}\n", encoding="utf-8")
    here, cluster = jobs(fresh), jobs(fresh, "--profile", "slurm")
    assert set(here) == set(cluster) != set()
    train = cluster["results/sort/seed0/train/manifest.json"]
    assert (train["gpu"], train["mem_mb"], train["runtime"]) == ("2", "64000", "600")
    assert cluster["results/say/seed0/train/manifest.json"]["gpu"] == "0"
    assert all({"mem_mb", "runtime"} <= set(resources) for resources in cluster.values())


def test_one_experiment_can_be_asked_for(fresh: Path) -> None:
    made = set(jobs(fresh, "experiment_say"))
    assert "results/say/seed0/evaluate/sayings/manifest.json" in made
    assert not [path for path in made if path.startswith("results/sort/") or "report" in path]


def test_config_error_is_one_message_without_traceback(fresh: Path) -> None:
    file = fresh / "config/config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("max_steps: 4", "max_step: 4", 1), encoding="utf-8")
    done = run("snakemake", "-n", cwd=fresh)
    assert done.returncode == 1
    assert "experiments.say.max_step: unknown key `max_step`, did you mean `max_steps`?" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_failed_rule_shows_the_tools_message(fresh: Path) -> None:
    file = fresh / "config/config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("completion: answer", "completion: anwser"), encoding="utf-8")
    done = run("snakemake", "results/datasets/sayings/manifest.json", cwd=fresh)
    assert done.returncode == 1
    assert "there is no column `anwser`, did you mean `answer`?" in done.stdout + done.stderr
    assert not (fresh / "results/datasets/sayings/manifest.json").exists()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This repository's DVC files and config in a repository of the test's own."""
    for name in (".dvc", "dvc.yaml", ".dvcignore", "config"):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(tmp_path)], check=True)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_dvc_stages_cover_every_artifact(clone: Path) -> None:
    done = run("dvc", "stage", "list", cwd=clone)
    assert done.returncode == 0, done.stderr
    outs = [out for line in done.stdout.splitlines() for out in line.split("Outputs ")[1].strip().split(", ")]
    plan = Plan(config.load(REPOSITORY / "config/config.yaml"))
    homeless = [path for path in plan.artifacts if not any(path == out or path.startswith(f"{out}/") for out in outs)]
    assert not homeless
    stages = yaml.safe_load((clone / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    assert all(out["persist"] for stage in stages for entry in stage.get("do", stage)["outs"] for out in entry.values())


def test_dvc_shows_metrics_and_plots_of_the_report(clone: Path) -> None:
    report = clone / "results/report"
    report.mkdir(parents=True)
    (report / "metrics.json").write_text(json.dumps({"describe": {"descriptions": {"base": {"rougeL": 0.1}}}}))
    (report / "loss.csv").write_text("experiment,run,step,loss\ndescribe,seed0,1,2.5\n")
    shown = run("dvc", "metrics", "show", "--json", cwd=clone)
    assert '"rougeL": 0.1' in shown.stdout, shown.stderr
    plotted = run("dvc", "plots", "show", cwd=clone)
    assert plotted.returncode == 0, plotted.stderr
    assert "Training loss" in (clone / "dvc_plots/index.html").read_text(encoding="utf-8")
