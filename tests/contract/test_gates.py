"""Each gate, tripped by what it is for: everything that is wrong is named at once, and nothing leaves this machine."""

import json
import pickle
from pathlib import Path

import pytest
import yaml

from polar_tools import discovery, gates
from polar_tools.errors import GateError
from polar_tools.publishing import licensing
from polar_tools.specs import PublishSpec, thaw
from polar_tools.stages import publish as stage
from tests import published, tiny

MODEL = "results/say/seed0/train/model"
SAYING = {"experiment": "say", "folder": "out"}


def closed(project: Path, name: str = "saying") -> dict[str, str]:
    """Publish, which must be refused with nothing sent; gate -> what it found."""
    done = published.here(project, name)
    assert done.returncode == 2, done.stderr or done.stdout
    assert not (project / "out").exists() and not (project / "results/publish" / name / "manifest.json").exists()
    lines = [line.partition(": ") for line in done.stderr.splitlines() if not line.startswith(("error:", "  "))]
    return {gate: found for gate, colon, found in lines if gate in discovery.names("gates")}


def test_manifest(project: Path) -> None:
    published.settle(project, saying=SAYING)
    published.flip(project / MODEL / "adapter_model.safetensors")
    assert closed(project) == {"manifest": f"{MODEL}/adapter_model.safetensors: changed; adapter_model.safetensors: not the artifact's "
                               "model/adapter_model.safetensors, as the claim says"}  # fmt: skip


def test_manifest_looks_at_the_sources_too(project: Path) -> None:
    published.settle(project, saying=SAYING | {"waive": {"manifest": "no reason makes up for it"}})
    published.flip(project / "resources/models/llama/snapshot/model.safetensors")
    assert closed(project) == {"manifest": "resources/models/llama/snapshot/model.safetensors: changed"}


def test_tokenizer(project: Path) -> None:
    published.settle(project, saying=SAYING)
    template = published.own(project / MODEL / "chat_template.jinja")
    template.write_text(template.read_text(encoding="utf-8").replace("<|im_end|>\n", "<|im_end|> "), encoding="utf-8")
    found = closed(project)
    assert found["tokenizer"] == "the published chat template differs; the saved chat template differs" and "manifest" in found


def test_required(project: Path) -> None:
    published.settle(project, saying=SAYING | {"require": {"sayings.rougeL": {"at_least": 0.99}, "sayings.loss": {"at_most": 0.01}}})
    metrics = json.loads((project / "results/say/seed0/evaluate/sayings/report.json").read_bytes())["metrics"]
    assert closed(project) == {
        "required": f"sayings.loss is {metrics['loss']:.6g}, and at most 0.01 is required; "
        f"sayings.rougeL is {metrics['rougeL']:.6g}, and at least 0.99 is required"
    }
    published.settle(project, saying=SAYING | {"require": {"sayings.rouge": {"at_least": 0}}})
    assert "rouge was not measured" in closed(project)["required"]


def test_licenses(project: Path) -> None:
    published.settle(project, saying=SAYING | {"licenses": {"llama": "apache-2.0"}})
    assert closed(project) == {"licenses": "resources/datasets/sayings: its licence is not known"}
    published.settle(project, saying=SAYING | {"licenses": {"llama": "apache-2.0", "sayings": "cc-by-nc-nd-4.0"}})
    assert "allows no derivatives" in closed(project)["licenses"]
    published.settle(project, saying=SAYING | {"licenses": {"llama": "gpl-3.0", "sayings": "cc-by-sa-4.0"}})
    assert closed(project) == {"licenses": "cc-by-sa-4.0 and gpl-3.0 each ask for themselves alone"}
    published.settle(project, saying=SAYING | {"licenses": {"llama": "mit", "sayings": "CC-BY-SA-3.0"}, "license": "mit"})
    assert "`license: mit` is not what the sources ask for" in closed(project)["licenses"]
    published.settle(project, saying=SAYING | {"licenses": {}, "waive": {"licenses": "both are ours"}})
    done = published.here(project, "saying")
    assert done.returncode == 0, done.stderr
    assert "The gate `licenses` was waived: both are ours" in (project / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("licences", "together"),
    [
        (["mit", "apache-2.0"], "apache-2.0"),
        (["mit", "cc-by-sa-3.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        (["agpl-3.0", "gpl-3.0", "mit"], "agpl-3.0"),
        (["gpl-2.0", "gpl-3.0"], None),
        (["llama3.1", "gemma"], None),
        (["llama3.1", "mit"], "llama3.1"),
    ],
)
def test_which_licence_several_allow(licences: list[str], together: str | None) -> None:
    """By hand, from what the licences say of adaptations."""
    named = {str(number): licence for number, licence in enumerate(licences)}
    assert (not [*licensing.conflicts(named, None)]) == (together is not None)
    for chosen in {"mit", "cc-by-nc-sa-4.0", "agpl-3.0", "llama3.1"} - {together}:
        assert together == "apache-2.0" or [*licensing.conflicts(named, chosen)], chosen
    assert together is None or not [*licensing.conflicts(named, together)]


def test_a_source_says_its_licence_itself(project: Path) -> None:
    (project / "assets/llama/README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n", encoding="utf-8")
    source = project / "assets/rows"
    source.mkdir()
    (project / "assets/rows.csv").rename(source / "rows.csv")
    (source / "LICENSE").write_text("Attribution-ShareAlike 4.0 International\n", encoding="utf-8")
    config = project / "config/config.yaml"
    told = config.read_text(encoding="utf-8").replace(
        "source: file://assets/rows.csv", "source: file://assets/rows\n    train_data: rows.csv"
    )
    config.write_text(told, encoding="utf-8")
    at = published.settle(project, rows={"dataset": "sayings", "folder": "out", "licenses": {}})
    for stage_name, folder in (("pull-push", "resources/datasets/sayings"), ("prepare", "results/datasets/sayings")):
        assert tiny.inside(stage_name, f"{folder}/spec.json", cwd=project).returncode == 0
    done = published.here(project, "rows")
    assert done.returncode == 0, done.stderr
    assert "published under cc-by-sa-4.0" in json.loads((at / "rows/record.json").read_bytes())["facts"]["gates"]["licenses"]["found"]


def test_safetensors(project: Path) -> None:
    published.settle(project, saying=SAYING)
    (project / MODEL / "head.bin").write_bytes(b"anything")
    (project / MODEL / "notes.dat").write_bytes(pickle.dumps({"a": 1}))
    (project / MODEL / "more.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    found = closed(project)["safetensors"]
    assert "head.bin: a pickle" in found and "notes.dat: a pickle, whatever" in found and "more.safetensors: no whole safetensors" in found


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("hf_" + "aB3dE" * 7, "a token of Hugging Face"),
        ("AKIA" + "ABCD1234EFGH5678", "a key of AWS"),
        ("ghp_" + "a1B2" * 9, "a token of GitHub"),
        ("sk-ant-" + "a1B2c3" * 8, "a key of OpenAI or Anthropic"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("https://me:hunter22@example.org/index", "a password in a URL"),
    ],
)
def test_secrets_of_a_form_in_a_row(secret: str, kind: str, fresh: Path) -> None:
    """In Parquet, where compression hides it from who only reads bytes."""
    with (fresh / "assets/rows.csv").open("a", encoding="utf-8") as file:
        file.write(f"what is it?,it is {secret} of course,cat\n")
    published.settle(fresh, rows={"dataset": "sayings", "folder": "out"})
    for stage_name, folder in (("pull-push", "resources/datasets/sayings"), ("prepare", "results/datasets/sayings")):
        assert tiny.inside(stage_name, f"{folder}/spec.json", cwd=fresh).returncode == 0
    found = closed(fresh, "rows")
    assert found.keys() == {"secrets"} and kind in found["secrets"] and "data/" in found["secrets"] and secret not in found["secrets"]


def test_secrets_of_this_environment_and_files_for_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SERVICE_API_KEY", "not of any known form")
    published.settle(project, saying=SAYING | {"waive": {"secrets": "they only look so", "licenses": "not of any known form"}})
    found = closed(project)["secrets"]
    assert "README.md: the value of OUR_SERVICE_API_KEY" in found and "not of any" not in found, "its own secrets nobody waives"
    monkeypatch.delenv("OUR_SERVICE_API_KEY")
    published.settle(project, saying=SAYING)
    (project / MODEL / ".env").write_text("A=1\n", encoding="utf-8")
    assert ".env: a file for secrets" in closed(project)["secrets"]


def test_merged(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = published.settle(project, saying=SAYING | {"what": "merged"})
    monkeypatch.chdir(project)
    spec = thaw((at / "saying/spec.json").read_bytes(), "spec.json")
    assert isinstance(spec, PublishSpec)
    made = stage.assembled(spec, at / "saying/published", "out")
    assert gates.ask(made, "it")["merged"].result == "passed"
    from safetensors.torch import load_file, save_file

    weights = load_file(made.folder / "model.safetensors")
    name = next(name for name in sorted(weights) if "q_proj" in name)
    weights[name] = weights[name] + 0.1
    save_file(weights, made.folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(GateError) as refused:
        gates.ask(made, "it")
    assert "merged: outputs for 4 rows differ by" in str(refused.value)


def test_what_a_config_may_not_ask_is_said_where_it_stands(project: Path) -> None:
    wrong = {
        "a": {"experiment": "sort", "what": "merged", "folder": "out"},
        "b": {"experiment": "say", "seed": 7, "folder": "out"},
        "c": {"experiment": "say", "require": {"kinds.accuracy": {"at_least": 0.5}}, "folder": "out"},
        "d": {"experiment": "say", "licenses": {"lama": "mit"}, "folder": "out"},
        "e": {"experiment": "say"},
        "f": {"experiment": "say", "folder": "out", "waive": {"licences": "a typo"}},
        "g": {"experiment": "say", "dataset": "sayings", "folder": "out"},
        "h": {"experiment": "say", "folder": "out", "private": True},
        "i": {"experiment": "say", "folder": "out", "seed": "best"},
    }
    words = {
        "a": "which trains no adapter",
        "b": "7 is not a seed of `say`",
        "c": "with an evaluation of `say` (it has sayings)",
        "d": "did you mean `llama`?",
        "e": "say where to",
        "f": "did you mean `licenses`?",
        "g": "name one thing that is published",
        "h": "would be ignored without `push_to_hub: true`",
        "i": "name one, it has 0",
    }
    file = project / "config" / "config.yaml"
    plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    for name, fields in wrong.items():
        file.write_text(yaml.safe_dump({**plain, "publish": {name: fields}}), encoding="utf-8")
        done = tiny.inside("check", "config/config.yaml", cwd=project)
        assert done.returncode == 2 and f"publish.{name}" in done.stderr and words[name] in done.stderr, done.stderr
