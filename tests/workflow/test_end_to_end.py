"""The whole workflow on tiny models: what it makes, that it makes the same twice, and that the chain of records holds."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from polar_tools.artifact import sha256_of
from tests import learning, tiny
from tests.tiny import make_project, run


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def records(project: Path) -> dict[str, bytes]:
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in sorted(project.rglob("record.json"))}


def test_every_artifact_has_spec_record_and_manifest(finished: Path) -> None:
    found = records(finished)
    assert len(found) == 20
    for name in found:
        folder = (finished / name).parent
        assert read(folder / "record.json")["spec"] == read(folder / "spec.json")
        assert not (folder / ".work.json").exists()
        assert {"host", "started", "record", "measured"} <= set(read(folder / "manifest.json"))
    assert not [name for name, data in found.items() if b'"host"' in data or b'"started"' in data]


SORTED = ("accuracy", "macro_f1", "weighted_f1", "majority_accuracy", "majority_macro_f1", "ece", "brier")


def test_both_models_are_measured_by_the_same_code(finished: Path) -> None:
    for experiment, evaluation, names in (
        ("say", "sayings", {"rouge1", "rouge2", "rougeL", "rougeLsum", "rouge_sum", "loss", "perplexity"}),
        ("sort", "kinds", {*SORTED, "loss", "perplexity"}),
    ):
        base, trained = (read(finished / f"results/{experiment}/{run}/evaluate/{evaluation}/report.json") for run in ("base", "seed0"))
        assert set(base["metrics"]) == set(trained["metrics"]) == names
        assert base["rows"] == trained["rows"] == 12
        assert trained["metrics"]["loss"] < base["metrics"]["loss"]


def test_metrics_log_has_every_step_and_no_clock(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "results/say/seed0/train/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all("loss" in line and not any("second" in key or "runtime" in key for key in line) for line in lines)


@pytest.mark.slow
def test_two_runs_from_scratch_are_bit_identical(finished: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by Snakemake, each stage in a process of its own; one in this process."""
    monkeypatch.chdir(fresh)
    learning.make("config/config.yaml")
    assert records(fresh) == records(finished)


def test_second_run_has_nothing_to_do(project: Path) -> None:
    assert "Nothing to be done" in run("snakemake", cwd=project).stderr


def written_before(project: Path, artifact: str, field: str) -> None:
    """Let an artifact look as if it had been made by a version that knew nothing of a field."""
    for name in ("spec.json", "record.json"):
        file = project / artifact / name
        told = read(file)
        (told if name == "spec.json" else told["spec"])["experiment"].pop(field)
        file.write_text(json.dumps(told))
    manifest = read(project / artifact / "manifest.json")
    manifest["record"] = sha256_of(project / artifact / "record.json")
    (project / artifact / "manifest.json").write_text(json.dumps(manifest))


def test_a_new_version_makes_nothing_again_for_a_field_at_its_default(project: Path) -> None:
    artifacts = ["say/base/evaluate/sayings", "sort/seed0/evaluate/kinds"]
    for artifact in artifacts:
        written_before(project, f"results/{artifact}", "attn_implementation")
    assert "results/report" in run("snakemake", "-n", cwd=project).stdout, "what is made from them shows their records"
    assert run("polar-tools", "verify", f"results/{artifacts[0]}", cwd=project).returncode == 0
    for artifact in artifacts:
        assert tiny.inside("evaluate", f"results/{artifact}", cwd=project).stdout.endswith("up to date\n")
    written_before(project, f"results/{artifacts[1]}", "model")
    assert f"results/{artifacts[1]}" in run("snakemake", "-n", cwd=project).stdout


@pytest.mark.parametrize(
    "name",
    [
        "results/say/seed0/train/checkpoints/checkpoint-4/optimizer.pt",
        "results/say/seed0/train/model/adapter_model.safetensors",
        "results/say/base/evaluate/sayings/predictions.jsonl",
        "resources/models/llama/snapshot/model.safetensors",
        "results/datasets/sayings/data/train-00000.parquet",
    ],
)
def test_verify_names_the_file_with_one_changed_byte(project: Path, name: str) -> None:
    assert run("polar-tools", "verify", "results/say", cwd=project).returncode == 0
    file = project / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    failed = run("polar-tools", "verify", "results/say", cwd=project)
    assert failed.returncode == 1
    assert f"{name}: changed" in failed.stderr
    assert failed.stderr.count(": changed") == 1


def test_verify_sees_missing_and_added_files_and_changed_records(project: Path) -> None:
    (project / "results/say/tokenize/report.json").unlink()
    (project / "results/say/seed0/train/model/notes.txt").write_text("mine")
    record = project / "results/datasets/sayings/record.json"
    record.write_text(record.read_text().replace('"rows": 72', '"rows": 73'))
    failed = run("polar-tools", "verify", "--json", "results/say", cwd=project.parent / "project")
    differences = json.loads(failed.stdout)["differences"]
    assert "results/say/tokenize/report.json: missing" in differences
    assert "results/say/seed0/train/model/notes.txt: added" in differences
    assert "results/datasets/sayings/record.json: changed since the manifest was written" in differences


def test_verify_works_from_anywhere(project: Path, tmp_path: Path) -> None:
    assert run("polar-tools", "verify", str(project / "results"), cwd=tmp_path).returncode == 0


def test_verify_and_lineage_of_nothing(tmp_path: Path) -> None:
    for command in ("verify", "lineage"):
        done = run("polar-tools", command, ".", cwd=tmp_path)
        assert done.returncode == 2
        assert "no finished artifact" in done.stderr


def test_lineage_leads_from_a_number_to_the_source(project: Path) -> None:
    path = "results/say/seed0/evaluate/sayings"
    tree = run("polar-tools", "lineage", path, cwd=project).stdout
    assert tree.splitlines()[0].startswith(path)
    assert "source: file://assets/rows.csv" in tree
    chain = json.loads(run("polar-tools", "lineage", "--json", path, cwd=project).stdout)[0]
    stages = set()

    def walk(node: dict[str, Any]) -> None:
        stages.add(node["stage"])
        for above in node["inputs"]:
            walk(above)

    walk(chain)
    assert stages == {"evaluate", "train", "tokenize", "prepare", "mirror"}


def test_experiment_starts_from_another(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = project / "config/config.yaml"
    more = (
        "  more: {method: sft, model: say, dataset: sayings, evaluations: [sayings], max_steps: 2, use_peft: true, lora_r: 2, threads: 1}\n"
    )
    config.write_text(config.read_text().replace("run:\n  notes", f"{more}run:\n  notes"))
    monkeypatch.chdir(project)
    learning.make("config/config.yaml")
    before = read(project / "results/say/seed0/evaluate/sayings/report.json")["metrics"]
    start, end = (read(project / f"results/more/{run}/evaluate/sayings/report.json")["metrics"] for run in ("base", "seed0"))
    assert start == pytest.approx(before, rel=1e-6)
    assert end["loss"] < start["loss"]


def test_local_files_are_looked_for_before_anything_runs(assets: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "project", assets)
    shutil.move(tmp_path / "project/assets/rows.csv", tmp_path / "rows.csv")
    done = run("polar-tools", "check", cwd=tmp_path / "project")
    assert done.returncode == 2
    assert "there is no file assets/rows.csv" in done.stderr
