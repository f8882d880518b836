"""Questions to the records of a finished project: from a number to its sources, what came of what, what would run, how two differ."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polar_tools import config
from polar_tools.artifact import sha256_of
from polar_tools.plan import Plan
from tests import tiny
from tests.tiny import inside

RUN = "results/say/seed0"


def ask(project: Path, *words: str) -> Any:
    """The answer of a query with --json."""
    done = inside(*words, "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_bytes()
    assert old.encode() in text
    file.write_bytes(text.replace(old.encode(), new.encode(), 1))


def because(told: dict[str, Any]) -> dict[str, list[str]]:
    return {one["path"]: one["because"] for one in told["artifacts"]}


def test_a_number_leads_to_the_bytes_that_it_came_from(finished: Path) -> None:
    told = ask(finished, "lineage", "say/seed0", "sayings", "rougeL")
    report = json.loads((finished / RUN / "evaluate/sayings/report.json").read_bytes())
    (figure,) = told["figures"]
    assert figure["value"] == report["metrics"]["rougeL"]
    assert figure["interval"] == report["intervals"]["rougeL"]
    assert figure["report"] == sha256_of(finished / RUN / "evaluate/sayings/report.json")
    waiting = [told["chain"]]
    while waiting:
        node = waiting.pop()
        assert node["record"] == sha256_of(finished / node["path"] / "record.json")
        recorded = json.loads((finished / node["path"] / "record.json").read_bytes())["inputs"]
        assert {above["path"]: above["record"] for above in node["inputs"]} == recorded
        waiting += node["inputs"]
    rows = next(source for source in told["sources"] if source["path"] == "resources/datasets/sayings")
    assert rows["source"] == "file://assets/rows.csv"
    assert rows["files"] == {"snapshot/rows.csv": sha256_of(finished / "assets/rows.csv")}
    shown = inside("lineage", "say/seed0", "sayings", "rougeL", cwd=finished).stdout
    assert shown.startswith(f"rougeL = {figure['value']:.6g} [")
    assert f"snapshot/rows.csv  sha256 {sha256_of(finished / 'assets/rows.csv')}" in shown


def test_a_number_that_there_isnt(finished: Path) -> None:
    for words, hint in (
        (("say/seed0", "sayings", "rougel"), "did you mean `rougeL`?"),
        (("say/seed0", "saying"), "it has sayings"),
        (("say/sed0", "sayings"), "did you mean `say/seed0`?"),
    ):
        done = inside("lineage", *words, cwd=finished)
        assert done.returncode == 2
        assert hint in done.stderr


def test_impact_of_a_source_is_all_that_came_of_it(finished: Path) -> None:
    made = because(ask(finished, "impact", "file://assets/llama"))
    assert made["resources/models/llama"] == ["is the source"]
    assert f"made from {RUN}/train" in made[f"{RUN}/evaluate/sayings"]
    assert "results/report" in made
    assert not [path for path in made if path.startswith(("results/sort", "results/datasets"))]
    assert made == because(ask(finished, "impact", "models/llama"))


def test_impact_of_a_name_that_nothing_has(finished: Path) -> None:
    done = inside("impact", "file://assets/lama", cwd=finished)
    assert done.returncode == 2
    assert "did you mean `file://assets/llama`?" in done.stderr


def rows_of(project: Path, dataset: str, part: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(project / f"results/datasets/{dataset}/data/{part}-00000.parquet").to_pylist()
    return rows


def test_a_training_row_is_followed_by_its_text(finished: Path) -> None:
    row = rows_of(finished, "sayings", "train")[6]
    told = because(ask(finished, "impact", f"question={row['prompt']}"))
    assert "holds it: train row 7" in told["results/datasets/sayings"]
    assert "made from results/datasets/sayings" in told["results/say/tokenize"]
    assert told["resources/datasets/sayings"][0].startswith("holds it: source row ")
    assert f"{RUN}/train" in told
    assert "resources/models/llama" not in told
    assert not [why for why in told[f"{RUN}/evaluate/sayings"] if why.startswith("holds it")]
    assert because(ask(finished, "impact", f"prompt~{row['prompt'][5:]}")) == told, "the config's name for the column, and a part of it"


def test_a_held_out_row_is_followed_by_its_hash(finished: Path) -> None:
    line = json.loads((finished / RUN / "evaluate/sayings/predictions.jsonl").read_text().splitlines()[2])
    told = because(ask(finished, "impact", line["row"]))
    assert "holds it: test row 3" in told["results/datasets/sayings"]
    assert "holds it: predictions row 3" in told[f"{RUN}/evaluate/sayings"]
    assert "results/say/tokenize" not in told, "nobody was trained on it"
    assert f"{RUN}/train" not in told
    assert "results/comparisons/sayings" in told


def test_a_row_that_nothing_holds(finished: Path) -> None:
    done = inside("impact", "answer=nobody said so", cwd=finished)
    assert (done.returncode, done.stdout) == (0, "no data here holds a row answer=nobody said so\n")


def test_why_leads_to_the_key_and_to_the_byte(project: Path) -> None:
    assert "nothing would run" in inside("why", cwd=project).stdout
    edit(project / "config/config.yaml", "learning_rate: 1.0e-2", "learning_rate: 2.0e-2")
    told = {one["path"]: one for one in ask(project, "why", f"{RUN}/evaluate/sayings")}
    assert told[f"{RUN}/train"]["causes"] == [{"key": "experiment.learning_rate", "old": 0.01, "new": 0.02}]
    assert told[f"{RUN}/evaluate/sayings"]["inputs_that_would_run"] == [f"{RUN}/train"]
    assert "results/datasets/sayings" not in told
    edit(project / "assets/rows.csv", "number 1", "number 9")
    shown = inside("why", f"{RUN}/train", cwd=project).stdout
    byte = next(place for place, pair in enumerate(zip(*bytes_of(project), strict=True)) if pair[0] != pair[1])
    assert f"from byte {byte} on, line " in shown
    assert "\n    - what does the" in shown and "number 1 do?" in shown and "number 9 do?" in shown
    planned = tiny.run("snakemake", "-n", cwd=project).stdout
    would = {one["path"] for one in ask(project, "why")}
    assert would == {line.split("output: ")[1].removesuffix("/manifest.json") for line in planned.splitlines() if "output: " in line}


def bytes_of(project: Path) -> tuple[bytes, bytes]:
    return (project / "resources/datasets/sayings/snapshot/rows.csv").read_bytes(), (project / "assets/rows.csv").read_bytes()


def test_why_of_what_is_gone_and_of_what_isnt_planned(project: Path) -> None:
    (project / f"{RUN}/train/model/adapter_model.safetensors").unlink()
    (cause,) = ask(project, "why", "say/seed0/train")[0]["causes"]
    assert cause["what"] == "model/adapter_model.safetensors is not there any more"
    done = inside("why", "results/say/sed0/train", cwd=project)
    assert done.returncode == 2
    assert "did you mean `results/say/seed0/train`?" in done.stderr


def test_why_names_only_what_somebody_chose_in_a_record_of_a_version_with_other_fields(project: Path) -> None:
    file = project / RUN / "train/record.json"
    record = json.loads(file.read_bytes())
    asked = record["spec"]["experiment"]
    asked["lora_target_modules"] = asked.pop("target_modules")
    for name in ("use_dora", "fsdp", "packing"):
        del asked[name]
    file.write_text(json.dumps(record), encoding="utf-8")
    causes = ask(project, "why", f"{RUN}/train")[0]["causes"]
    assert {"key": "experiment.lora_target_modules", "old": None} in causes
    assert not [cause for cause in causes if cause.get("key", "").endswith(("use_dora", "fsdp", "packing", ".target_modules"))]


def changed_rows(project: Path) -> None:
    """A row removed, one added, one changed."""
    file = project / "assets/rows.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    first = lines[1].split(",")
    lines[1] = f"{first[0]},it sings,{first[2]}"
    file.write_text("\n".join([*lines[:4], *lines[5:], "who is new?,it is me,cat"]) + "\n", encoding="utf-8")


def test_diff_of_two_projects(project: Path, finished: Path) -> None:
    assert inside("diff", str(finished), ".", cwd=project).stdout.startswith("metrics: all 32 are the same")
    edit(project / "config/config.yaml", "max_new_tokens: 4", "max_new_tokens: 3")
    changed_rows(project)
    with contextlib.chdir(project):
        Plan(config.load(Path("config/config.yaml"))).settle()
    for stage, path in (
        ("pull-push", "resources/datasets/sayings"),
        ("prepare", "results/datasets/sayings"),
        ("tokenize", "results/say/tokenize"),
        ("evaluate", "results/say/base/evaluate/sayings"),
    ):
        done = inside(stage, path, cwd=project)
        assert done.returncode == 0, done.stderr
    told = ask(project, "diff", str(finished), ".")
    assert [change["key"] for change in told["config"]] == ["evaluations.sayings.generation.max_new_tokens"]
    rows = told["data"]["results/datasets/sayings"]
    assert (rows["added"], rows["removed"], rows["changed"]) == (1, 1, 1)
    assert rows["samples"]["added"][0]["row"] == {"prompt": "who is new?", "completion": "it is me"}
    assert rows["samples"]["changed"][0]["new"]["completion"] == "it sings"
    assert {one["evaluation"] for one in told["metrics"] if one["change"]} == {"results/say/base/evaluate/sayings"}
    assert all(len(one["new"]["interval"]) == 2 for one in told["metrics"])


def test_diff_of_runs_and_of_artifacts(finished: Path) -> None:
    told = ask(finished, "diff", "say/base", "say/seed0")
    assert told["artifacts"] == {"only_a": [], "only_b": ["train"]}
    assert [change["key"] for change in told["config"]] == ["trained"]
    loss = next(one for one in told["metrics"] if one["metric"] == "loss")
    reports = [json.loads((finished / f"results/say/{run}/evaluate/sayings/report.json").read_bytes()) for run in ("base", "seed0")]
    assert (loss["old"]["value"], loss["new"]["value"]) == tuple(report["metrics"]["loss"] for report in reports)
    same = ask(finished, "diff", f"{RUN}/train", f"{RUN}/train")
    assert not any(same[name] for name in ("config", "versions", "data", "files"))


def test_what_was_published_of_a_source_is_named(project: Path) -> None:
    edit(
        project / "config/config.yaml",
        "run:\n",
        "publish: {say: {experiment: say, folder: out, licenses: {llama: mit, sayings: mit}}}\nrun:\n",
    )
    with contextlib.chdir(project):
        Plan(config.load(Path("config/config.yaml"))).settle()
    done = inside("publish", "results/publish/say", cwd=project)
    assert done.returncode == 0, done.stderr
    told = ask(project, "impact", "datasets/sayings")
    assert [(one["artifact"], one["uri"]) for one in told["published"]] == [("results/publish/say", "file://out")]
    assert ask(project, "impact", "models/bert")["published"] == []


def test_diff_of_commits(fresh: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=fresh, check=True, capture_output=True)

    git("init", "-q")
    git("add", "config")
    git("commit", "-qm", "first")
    edit(fresh / "config/config.yaml", "lora_r: 2", "lora_r: 4")
    told = ask(fresh, "diff", "HEAD", ".")
    assert told["config"] == [{"key": "experiments.say.lora_r", "old": 2, "new": 4, "in": []}]
    done = inside("diff", "HEAD", "elsewhere", cwd=fresh)
    assert done.returncode == 2
    assert "`elsewhere` is no artifact's folder" in done.stderr
