"""`polar-tools evaluate`, `polar_tools.evaluate` and `polar-tools predict` without a workflow: any model, any rows."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner, Result

import polar_tools
from polar_tools.cli import group
from polar_tools.errors import DataError, IntegrityError, PolarError
from tests.tiny import inside, run
from tests.training import sayings

TRAINED = "results/say/seed0"
HELD_OUT = "results/datasets/{}/data/test-00000.parquet"
ASKED = ["--column", "prompt=question", "--column", "completion=answer"]


def evaluate(*words: str, model: Path, rows: Path, output: Path) -> Result:
    given = ["--model", str(model), "--test-data", str(rows), "--output", str(output), "--set", "threads=1"]
    return CliRunner().invoke(group, ["evaluate", *given, *words])


def predict(*words: str, stdin: str | None = None) -> list[dict[str, Any]]:
    done = CliRunner().invoke(group, ["predict", *words], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def table(assets: Path) -> Path:
    return assets / "assets/rows.csv"


@pytest.fixture
def twelve(tmp_path: Path, assets: Path) -> Path:
    """Twelve rows with columns of their own names."""
    file = tmp_path / "twelve.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in sayings(assets)[:12]), encoding="utf-8")
    return file


def test_a_trained_model_is_measured_as_the_workflow_measures_it(finished: Path, tmp_path: Path) -> None:
    rows, workflow = finished / HELD_OUT.format("sayings"), finished / TRAINED / "evaluate/sayings"
    done = evaluate(
        *("--metrics", "rouge,loss", "--max-new-tokens", "4", "--json"),
        model=finished / TRAINED / "train",
        rows=rows,
        output=tmp_path / "r",
    )
    assert done.exit_code == 0, done.output
    told, known = json.loads(done.stdout), json.loads((workflow / "report.json").read_bytes())
    assert told["method"] == "sft" and told["metrics"] == known["metrics"]
    assert (tmp_path / "r/predictions.jsonl").read_bytes() == (workflow / "predictions.jsonl").read_bytes()
    row = lines(tmp_path / "r/predictions.jsonl")[0]
    assert len(row["row"]) == 32 and row["cut"] in (True, False)


def test_columns_are_those_of_its_training(finished: Path, twelve: Path, tmp_path: Path) -> None:
    done = evaluate("--max-new-tokens", "2", model=finished / TRAINED / "train/model", rows=twelve, output=tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert [row["input"] for row in lines(tmp_path / "r/predictions.jsonl")] == [row["question"] for row in lines(twelve)]
    assert "rougeL: 0." in done.output


def test_other_metrics_need_no_model_again(assets: Path, twelve: Path, tmp_path: Path) -> None:
    model, output = Path(shutil.copytree(assets / "assets/llama", tmp_path / "llama")), tmp_path / "r"
    done = evaluate("--max-new-tokens", "3", *ASKED, model=model, rows=twelve, output=output)
    assert done.exit_code == 0, done.output
    assert "method: sft (a LlamaForCausalLM, rows with `prompt`, `completion`" in done.output
    before = (output / "predictions.jsonl").read_bytes()
    refused = evaluate("--max-new-tokens", "4", *ASKED, model=model, rows=twelve, output=output)
    assert "holds an evaluation of another model, other rows or other settings" in str(refused.exception)
    again = evaluate("--max-new-tokens", "3", "--metrics", "loss", "--json", *ASKED, model=model, rows=twelve, output=output)
    assert sorted(json.loads(again.stdout)["metrics"]) == ["loss", "perplexity"]
    assert (output / "predictions.jsonl").read_bytes() == before
    assert evaluate("--max-new-tokens", "4", "--overwrite", *ASKED, model=model, rows=twelve, output=output).exit_code == 0
    assert (output / "predictions.jsonl").read_bytes() != before


def test_an_adapter_is_put_on_its_base(finished: Path, twelve: Path, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(finished / TRAINED / "train/model", tmp_path / "adapter"))
    told = json.loads((adapter / "adapter_config.json").read_bytes())
    missing = evaluate(*ASKED, model=adapter, rows=twelve, output=tmp_path / "r")
    assert "is an adapter of resources/models/llama/snapshot, which isn't here" in str(missing.exception)
    base = str(finished / told["base_model_name_or_path"])
    (adapter / "adapter_config.json").write_text(json.dumps({**told, "base_model_name_or_path": base}))
    done = evaluate("--max-new-tokens", "2", *ASKED, model=adapter, rows=twelve, output=tmp_path / "r")
    assert done.exit_code == 0, done.output
    own = evaluate("--max-new-tokens", "2", model=finished / TRAINED / "train/model", rows=twelve, output=tmp_path / "s")
    assert own.exit_code == 0
    assert [row["loss"] for row in lines(tmp_path / "r/predictions.jsonl")] == [
        row["loss"] for row in lines(tmp_path / "s/predictions.jsonl")
    ]


def test_from_python_a_classifier_knows_its_labels(finished: Path, tmp_path: Path) -> None:
    rows = [{"text": "it purrs softly on the warm sofa", "label": "cat"}, {"text": "it barks", "label": "dog"}]
    told = polar_tools.evaluate(finished / "results/sort/seed0/train", rows, tmp_path / "r", metrics=["accuracy"])
    assert told["rows"] == 2 and told["method"] == "classification" and "accuracy" in told["metrics"]
    with pytest.raises(
        DataError, match=r"test row 2: labels \['cow'\] do not occur in the training rows, which have \['cat', 'dog', 'fish'\]"
    ):
        polar_tools.evaluate(
            finished / "results/sort/seed0/train", [rows[0], {"text": "it moos", "label": "cow"}], tmp_path / "s", metrics=["accuracy"]
        )


def broken(model: Path, folder: Path) -> Path:
    """A copy of a model whose weights are NaN for the token of `7`."""
    copy = Path(shutil.copytree(model, folder))
    weights = safetensors.torch.load_file(copy / "model.safetensors")
    seven = json.loads((copy / "tokenizer.json").read_bytes())["model"]["vocab"]["7"]
    weights["model.embed_tokens.weight"][seven] = torch.nan
    safetensors.torch.save_file(weights, copy / "model.safetensors", {"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("words", "rows", "says"),
    [
        (["--method", "causal_lm", "--metrics", "rouge"], [{"text": "a b c"}], "metric `rouge` needs predictions, but row 0 has none"),
        (["--metrics", "rouge"], [{"prompt": "a", "completion": " "}], "the reference of row 0 is empty"),
        ([], [{"prompt": "1?", "completion": "one"}, {"prompt": "7?", "completion": "seven"}], "test row 2: the model gives NaN"),
        ([], [{"x": "a", "y": "b"}], "no method goes with this model, a LlamaForCausalLM, and rows with `x`, `y`"),
        (["--method", "sfd"], [{"prompt": "a", "completion": "b"}], "there is no method `sfd`, did you mean `sft`"),
        (["--set", "gpu=1"], [{"prompt": "a", "completion": "b"}], "method sft has no field `gpu`, did you mean `gpus`"),
        (["--metrics", "rogue"], [{"prompt": "a", "completion": "b"}], "there is no `rogue` in metrics, did you mean `rouge`"),
        (["--length-penalty", "2"], [{"prompt": "a", "completion": "b"}], "length_penalty would be ignored without `num_beams: 2`"),
    ],
)
def test_what_cannot_be_measured_is_said(words: list[str], rows: list[dict[str, str]], says: str, assets: Path, tmp_path: Path) -> None:
    model, file = broken(assets / "assets/llama", tmp_path / "llama"), tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = evaluate(*words, model=model, rows=file, output=tmp_path / "r")
    assert isinstance(done.exception, PolarError) and done.exception.exit_status == 2, done.output
    assert says in str(done.exception)
    assert not (tmp_path / "r/report.json").exists()


def test_no_rows_and_no_model(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    empty = evaluate(model=assets / "assets/llama", rows=tmp_path / "empty.jsonl", output=tmp_path / "r")
    assert isinstance(empty.exception, DataError)
    folder = tmp_path / "nothing"
    folder.mkdir()
    nothing = evaluate(*ASKED, model=folder, rows=assets / "assets/rows.csv", output=tmp_path / "r")
    assert "is no model: there is no config.json" in str(nothing.exception)
    done = run("polar-tools", "evaluate", "--model", "x", cwd=tmp_path)
    assert done.returncode == 2 and "--test-data, --output too" in done.stderr


def test_texts_that_are_all_empty_are_said(assets: Path, twelve: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(assets / "assets/llama", tmp_path / "llama"))
    weights = safetensors.torch.load_file(model / "model.safetensors")
    weights["lm_head.weight"].zero_()
    safetensors.torch.save_file(weights, model / "model.safetensors", {"format": "pt"})
    done = evaluate(*ASKED, "--metrics", "loss", model=model, rows=twelve, output=tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert "warning: the model wrote nothing after any of the 12 prompts" in done.output
    assert json.loads((tmp_path / "r/report.json").read_bytes())["written"] == {"cut": 12, "empty": 12}


def test_predictions_of_an_experiment_are_those_of_its_evaluation(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    known = lines(finished / TRAINED / "evaluate/sayings/predictions.jsonl")
    made = predict("say", "--input", HELD_OUT.format("sayings"))
    assert [(row["prediction"], row["cut"], row["reference"]) for row in made] == [
        (row["prediction"], row["cut"], row["reference"]) for row in known
    ]
    plain = predict("say", "--input", "-", stdin=known[0]["input"] + "\n" + json.dumps({"question": known[1]["input"]}) + "\n")
    assert [row["prediction"] for row in plain] == [known[0]["prediction"], known[1]["prediction"]]
    assert "reference" not in plain[0] and plain[0]["text"] == known[0]["input"]
    base = predict("say", "--run", "base", "--input", "-", "--generation", "max_new_tokens=2", stdin=known[0]["input"])
    assert base[0]["cut"]
    predict(str(finished / TRAINED / "train"), "--input", HELD_OUT.format("sayings"), "--output", str(tmp_path / "p.jsonl"))
    assert len(lines(tmp_path / "p.jsonl")) == len(known)


def test_a_classifier_predicts_labels_of_plain_lines(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    made = predict("sort", "--input", "-", stdin="it purrs softly on the warm sofa\nit barks loudly at the garden gate\n")
    assert {row["prediction"] for row in made} <= {"cat", "dog", "fish"}
    assert not any("reference" in row for row in made)


def test_what_cannot_be_asked_is_said(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)

    def says(*words: str, stdin: str = "") -> str:
        done = CliRunner().invoke(group, ["predict", *words, "--input", "-"], input=stdin)
        assert isinstance(done.exception, PolarError)
        return str(done.exception)

    assert "has no experiment `sya`, did you mean `say`" in says("sya")
    assert "experiment `say` has no run `seed7`; it has base, seed0" in says("say", "--run", "seed7")
    assert "experiment `say` has no evaluation `kinds`; it has sayings" in says("say", "--evaluation", "kinds")
    assert "row 1 has `x`, and method `sft` reads `messages` or `prompt`" in says("say", stdin='{"x": 1}\n')
    assert "line 2 of standard input is no JSON" in says("say", stdin='a\n{"prompt": \n')
    assert "--run and --evaluation go with an experiment" in says(str(finished / TRAINED / "train"), "--run", "base")
    assert "the rows have a column `prediction`" in says("say", stdin='{"prompt": "a", "prediction": "b"}\n')


def test_a_model_that_was_trained_with_another_template_is_refused(project: Path, twelve: Path, tmp_path: Path) -> None:
    train = project / TRAINED / "train"
    record = json.loads((train / "record.json").read_bytes())
    template = train / "model/chat_template.jinja"
    assert record["facts"]["prompts"] == {"chat_template": hashlib.sha256(template.read_bytes()).hexdigest()}
    other = record["facts"]["prompts"]["chat_template"] = "0" * 64
    (train / "record.json").write_text(json.dumps(record))
    done = evaluate(model=train, rows=twelve, output=tmp_path / "r")
    assert isinstance(done.exception, IntegrityError)
    assert f"chat_template: trained with {other[:12]}, asked with {hashlib.sha256(template.read_bytes()).hexdigest()[:12]}" in str(
        done.exception
    )
    for name in ("manifest.json", "record.json"):
        (project / TRAINED / "evaluate/sayings" / name).unlink()
    staged = inside("evaluate", f"{TRAINED}/evaluate/sayings", cwd=project)
    assert staged.returncode == 1 and "was trained with other prompts than it would be asked with" in staged.stderr
