"""What a publication carries: of the config as much as decides it, the card, the claim, the signature."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from polar_tools import claims, discovery
from polar_tools import config as configs
from polar_tools.plan import Plan
from polar_tools.publication_config import Publication
from polar_tools.publications import reduced
from tests import example_project, published, tiny

CONFIGS = [tiny.REPOSITORY / "config" / "config.yaml", *sorted((tiny.REPOSITORY / "config" / "examples").glob("*.yaml"))]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_reduced_config_plans_what_the_whole_plans(file: Path, tmp_path: Path) -> None:
    config = configs.load(file)
    sources = [source for one in (*config.models.values(), *config.datasets.values()) for source in (one.source,) if "://" in source]
    with contextlib.chdir(tmp_path):
        example_project.stand_in(tmp_path, sources)
        whole = Plan(config)
        for name in config.experiments:
            told = reduced(config, Publication(experiment=name, folder="out"))
            part = Plan(configs.parse(json.loads(json.dumps(told)), "reduced"))
            wanted = {path for path in whole.artifacts if path.startswith(f"results/{name}/")}
            waiting, needed = list(wanted), set(wanted)
            while waiting:
                fresh = set(whole.artifacts[waiting.pop()].spec.inputs()) - needed
                needed |= fresh
                waiting += fresh
            assert {path: part.artifacts[path].frozen for path in needed} == {path: whole.artifacts[path].frozen for path in needed}
            assert not {"run", "publish"} & told.keys()


def test_rows_left_out_for_an_evaluation_of_another_experiment_keep_it_in_the_config(tmp_path: Path) -> None:
    told = yaml.safe_load(tiny.CONFIG)
    told["datasets"]["sayings"]["decontaminate"] = {"policy": "drop"}
    with contextlib.chdir(tmp_path):
        example_project.stand_in(tmp_path, ["file://assets/llama", "file://assets/bert", "file://assets/rows.csv"])
        config = configs.parse(told)
        kept = reduced(config, Publication(experiment="say", folder="out"))
        assert kept["evaluations"].keys() == {"sayings", "kinds"} and kept["experiments"].keys() == {"say"}
        path = "results/datasets/sayings/clean"
        assert Plan(configs.parse(kept)).artifacts[path].frozen == Plan(config).artifacts[path].frozen


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_card_says_what_the_records_say(language: str, project: Path) -> None:
    fields = {"experiment": "say", "folder": "out", "language": language, "require": {"sayings.rougeL": {"at_least": 0}}, "seed": "best"}
    published.settle(project, saying=fields)
    done = published.here(project, "saying")
    assert done.returncode == 0, done.stderr
    text = (project / "out" / "README.md").read_text(encoding="utf-8")
    facts = json.loads((project / "results/say/seed0/evaluate/sayings/record.json").read_bytes())["facts"]
    before = json.loads((project / "results/say/base/evaluate/sayings/record.json").read_bytes())["facts"]
    read = ModelCard(text).data
    assert {one.metric_type: one.metric_value for one in read.eval_results} == facts["metrics"]
    [rouge] = [one for one in read.eval_results if one.metric_type == "rougeL"]
    assert rouge.metric_args == {"before": before["metrics"]["rougeL"], "interval_95": facts["intervals"]["rougeL"], "rows": 12}
    assert (read.license, read.library_name, read.pipeline_tag, read.model_name) == ("apache-2.0", "peft", "text-generation", "tiny-saying")
    low, high = (100 * end for end in facts["intervals"]["rougeL"])
    assert f"{100 * facts['metrics']['rougeL']:.1f} ({low:.1f} – {high:.1f})" in text
    record = json.loads((project / "results/say/seed0/train/record.json").read_bytes())
    settings = record["spec"]["experiment"].keys() - {"method", "model", "dataset"}
    assert all(f"| {name} |" in text for name in settings) and "| learning_rate | 0.01 |" in text
    model = json.loads((project / "resources/models/llama/manifest.json").read_bytes())["record"]
    assert f"sha256 `{model}`" in text and "| missing | 72 | 0 | 100.0 % |" in text and "polar-tools verify" in text
    assert ("학습 전" in text) == (language == "ko")


def test_a_signed_publication_and_what_is_done_to_it(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("model_signing")
    key, other = tmp_path / "key.pem", tmp_path / "other.pem"
    for file in (key, other):
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(file)], check=True)
        subprocess.run(["openssl", "ec", "-in", str(file), "-pubout", "-out", f"{file}.pub"], check=True, capture_output=True)
    published.settle(project, rows={"dataset": "sayings", "folder": "out", "sign": str(key)})
    assert published.here(project, "rows").returncode == 0
    shutil.move(project / "out", tmp_path / "fetched")

    def verified(*words: str) -> tuple[int, str]:
        done = tiny.inside("verify", "fetched", *words, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    assert verified()[0] == 0 and "came along" in verified()[1]
    assert verified("--key", f"{key}.pub")[0] == 0 and "came along" not in verified("--key", f"{key}.pub")[1]
    assert verified("--key", f"{other}.pub")[0] == 1
    statement = json.loads((tmp_path / "fetched" / claims.SIGNATURE).read_bytes())["dsseEnvelope"]
    assert statement["payloadType"] == "application/vnd.in-toto+json"
    before = published.files(tmp_path / "fetched")
    for name, wrong in (("README.md", b"# Better than all others\n"), ("data/train-00000.parquet", b"PAR1"), (claims.CLAIM, None)):
        file = tmp_path / "fetched" / name
        told = json.loads(before[name]) | {"polar_tools": "9.9"} if wrong is None else None
        file.write_bytes(json.dumps(told).encode() if told else wrong)
        status, said = verified()
        assert status == 1 and name in said and "the signature doesn't hold" in said, said
        file.write_bytes(before[name])
    assert verified()[0] == 0
    (tmp_path / "fetched" / claims.SIGNATURE).unlink()
    assert verified()[0] == 1 and "it isn't signed" in verified()[1]
    published.settle(project, rows={"dataset": "sayings", "folder": "out", "sign": f"{key}.pub"})
    refused = published.here(project, "rows")
    assert refused.returncode == 2 and "no private key" in refused.stderr


def test_a_claim_that_was_tampered_with_is_caught(project: Path) -> None:
    published.settle(project, rows={"dataset": "sayings", "folder": "out"})
    assert published.here(project, "rows").returncode == 0
    record = project / "out/polar/records/results/datasets/sayings/record.json"
    told = json.loads(record.read_bytes())
    told["facts"]["funnel"][0]["rows"] = 1_000_000
    published.own(record).write_text(json.dumps(told), encoding="utf-8")
    found = [*claims.differences(claims.read(project / "out"))]
    assert [line.partition(": ")[2] for line in found if "sayings/record.json" in line] == [
        "changed",
        "not the record that the claim names",
        "not the one that its manifest names",
    ]
    manifest = json.loads((project / "out/polar/records/results/datasets/sayings/manifest.json").read_bytes())
    assert not {"host", "local_files"} & manifest.keys(), "of machines a publication tells nothing"


def test_a_finished_artifact_is_published_by_itself(project: Path) -> None:
    words = ("publish", "results/say/seed0/train", "--target", "./elsewhere/saying", "--waive", "licenses=a toy")
    done = tiny.inside(*words, "--require", "sayings.rougeL=0.99", cwd=project)
    assert done.returncode == 2 and "at least 0.99 is required" in done.stderr and not (project / "elsewhere").exists()
    done = tiny.inside(*words, "--dry-run", cwd=project)
    assert done.returncode == 0 and "nothing was sent" in done.stdout and not (project / "elsewhere").exists(), done.stderr
    done = tiny.inside(*words, cwd=project)
    assert done.returncode == 0, done.stderr
    assert claims.read(project / "elsewhere/saying").artifact == "results/say/seed0/train"
    for path, why in (("results/say/tokenize", "can be published"), ("assets", "no finished artifact")):
        done = tiny.inside("publish", path, "--target", "./other", cwd=project)
        assert done.returncode == 2 and why in done.stderr, done.stderr


def test_commands_that_look_at_a_whole_plan_know_publications(project: Path) -> None:
    published.settle(project, rows={"dataset": "sayings", "folder": "out"})
    for command in ("check", "plan"):
        done = tiny.inside(command, "config/config.yaml", cwd=project)
        assert done.returncode == 0 and "results/publish/rows" in done.stdout, done.stderr
    assert published.here(project, "rows").returncode == 0
    done = tiny.inside("verify", "results", cwd=project)
    assert done.returncode == 0, "the records that are published are none of artifacts here"


def test_every_gate_says_what_it_is_for() -> None:
    for name, gate in discovery.modules("gates").items():
        assert gate.TITLE and gate.MEANS and isinstance(gate.WAIVABLE, bool) and isinstance(gate.OF_FINISHED, bool), name
