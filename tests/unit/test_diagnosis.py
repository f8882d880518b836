"""Each diagnosis on a run that was made to have it, and none on one that is well; read as a person would, by `polar-tools diagnose`."""

import json
import random
import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from click.testing import CliRunner

from polar_tools import discovery, languages, reference
from polar_tools.cli import group
from tests import tiny, training

EXPERIMENT = {"method": "classification", "model": "resources/models/m/snapshot", "dataset": "results/datasets/d/data"}
LABELS = ("cat", "dog", "fish")


def diagnose(path: Path, *options: str) -> dict[str, Any]:
    """Findings of the one training at `path`."""
    shown = CliRunner().invoke(group, ["diagnose", str(path), "--json", *options])
    assert shown.exit_code == 0, shown.output
    (told,) = json.loads(shown.output).values()
    return told["findings"]


def curve(*losses: float) -> list[dict[str, float]]:
    """Lines of metrics.jsonl, ten steps and half an epoch apart."""
    return [{"step": 10 * place, "epoch": place / 2, "loss": loss, "grad_norm": 1.0} for place, loss in enumerate(losses, 1)]


def validation(*losses: float) -> list[dict[str, float]]:
    return [{"step": 20 * place, "epoch": float(place), "eval_held_loss": loss} for place, loss in enumerate(losses, 1)]


def falling(steps: int = 40) -> list[float]:
    """Losses of a training that went well: down fast, then level, with the noise of batches."""
    chance = random.Random(0)
    return [0.4 + 2.0 * 0.75**step + chance.uniform(-0.02, 0.02) for step in range(steps)]


HEALTHY = [*curve(*falling()), *validation(1.2, 0.8, 0.62, 0.55, 0.52, 0.5, 0.49, 0.49)]


def written(root: Path, log: list[dict[str, Any]], finished: bool = True, measured: dict[str, Any] | None = None, **fields: Any) -> Path:
    """The folder of a training with such a log; `fields` are those of its experiment."""
    folder = root / "results/x/seed0/train"
    folder.mkdir(parents=True)
    spec = {"stage": "train", "seed": 0, "tokenizer": "results/x/tokenize/tokenizer", "experiment": {**EXPERIMENT, **fields}}
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    if finished:
        (folder / "record.json").write_text(json.dumps({"facts": {"steps": 400}}))
        (folder / "manifest.json").write_text(json.dumps({"measured": measured or {}}))
    return folder


def tokenized(root: Path, **counts: Any) -> None:
    (root / "results/x/tokenize").mkdir(parents=True)
    (root / "results/x/tokenize/report.json").write_text(json.dumps(counts))


def evaluated(root: Path, rows: list[dict[str, Any]], after: dict[str, float], before: dict[str, float] | None = None) -> None:
    """What was measured of the trained and of the untouched model; all figures are accuracies."""
    for run, metrics in (("seed0", after), ("base", before or {})):
        folder = root / f"results/x/{run}/evaluate/kinds"
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
        (folder / "report.json").write_text(json.dumps({"metrics": metrics, "given_by": dict.fromkeys(metrics, "accuracy")}))
        whole = [{"input": "", "loss": None, "tokens": 0, **row} for row in rows]
        (folder / "predictions.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in whole))


def answers(*predictions: str, cut: bool | None = None) -> list[dict[str, Any]]:
    return [{"prediction": text, "reference": LABELS[place % 3], "cut": cut} for place, text in enumerate(predictions)]


GOOD = answers(*(LABELS[place % 3] for place in range(30)))


def test_a_healthy_run_has_none(tmp_path: Path) -> None:
    folder = written(tmp_path, HEALTHY, measured={"peak_memory_mb": 1000, "memory_mb": 8000})
    tokenized(tmp_path, rows=100, duplicates=2, cut=1, dropped=0, labels={"cat": 40, "dog": 60})
    evaluated(tmp_path, GOOD, {"accuracy": 0.9, "majority_accuracy": 0.4}, {"accuracy": 0.3, "majority_accuracy": 0.4})
    assert diagnose(folder) == {}
    shown = CliRunner().invoke(group, ["diagnose", str(folder)])
    assert shown.output == f"{folder.as_posix()}: nothing found\n"


def test_overfitting_tells_the_epoch_it_began(tmp_path: Path) -> None:
    folder = written(tmp_path, [*curve(*falling()), *validation(1.2, 0.8, 0.7, 0.66, 0.7, 0.78, 0.9, 1.1)])
    found = diagnose(folder)
    assert found.keys() == {"overfitting"}
    assert found["overfitting"]["figures"] | {"train": 0} == {
        "data": "held",
        "epoch": 4.0,
        "step": 80,
        "lowest": 0.66,
        "last": 1.1,
        "train": 0,
    }
    assert "epoch 4.0" in found["overfitting"]["symptom"] and "early_stopping_patience" in found["overfitting"]["change"]


def test_overfitting_is_none_where_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    kept = {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch", "eval_datasets": {"held": "d/data"}}
    assert diagnose(written(tmp_path, [*curve(*falling()), *validation(0.7, 0.66, 0.9, 1.1)], **kept)) == {}


@pytest.mark.parametrize(
    ("name", "log", "fields"),
    [
        ("still_falling", curve(*(3.0 - 0.06 * step for step in range(40))), {}),
        ("high_initial_loss", [*curve(10.6, *falling()), *validation(0.5)], {}),
        ("diverging", curve(*(1.0 + 0.05 * step for step in range(40))), {"learning_rate": 0.5}),
        ("diverging", [*curve(2.0, 1.9), {"step": 30, "loss": float("nan")}, {"step": 40, "loss": float("inf")}], {}),
        ("diverging", [{**line, "grad_norm": 1.3**place} for place, line in enumerate(curve(*[2.0, 2.05] * 20))], {}),
        ("flat_loss", curve(*(1.1 + 0.003 * (step % 2) for step in range(40))), {}),
    ],
)
def test_a_curve_tells_what_is_wrong(tmp_path: Path, name: str, log: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    folder = written(tmp_path, log, **fields)
    evaluated(tmp_path, GOOD, {"accuracy": 0.9})
    assert name in diagnose(folder)
    assert len(set(diagnose(folder)) - {"flat_loss"} - {name}) == 0


@pytest.mark.parametrize(
    ("name", "counts", "told"),
    [
        ("repeating_rows", {"rows": 100, "duplicates": 30}, "30 of 100"),
        ("repeating_rows", {"rows": 100, "duplicates": 0, "labels": {"cat": 95, "dog": 5}}, "the label `cat`"),
        (
            "truncated_rows",
            {
                "rows": 100,
                "cut": 25,
                "dropped": 0,
                "cuts": {"max_length": 64, "answers_cut": 25},
                "recommended": {"max_length": {"value": 192}},
            },
            "`max_length: 64` cuts 25 of 100",
        ),
    ],
)
def test_the_tokens_tell_what_is_wrong(tmp_path: Path, name: str, counts: dict[str, Any], told: str) -> None:
    folder = written(tmp_path, HEALTHY)
    tokenized(tmp_path, **{"cut": 0, "dropped": 0, "duplicates": 0, **counts})
    found = diagnose(folder)
    assert found.keys() == {name}
    assert told in found[name]["symptom"]


LOOP = "it purrs on the sofa " * 8


@pytest.mark.parametrize(
    ("name", "rows", "after", "before"),
    [
        ("same_answer", answers(*["cat"] * 30), {"accuracy": 0.34}, {"accuracy": 0.2}),
        ("cut_outputs", answers(*("no end " + str(place) for place in range(30)), cut=True), {"accuracy": 0.3}, {"accuracy": 0.2}),
        ("looping_outputs", answers(*(LOOP + str(place) for place in range(30)), cut=False), {"accuracy": 0.3}, {"accuracy": 0.2}),
        (
            "looping_outputs",
            answers(*("가나다라" * 8 + str(place) for place in range(30)), cut=False),
            {"accuracy": 0.3},
            {"accuracy": 0.2},
        ),
        ("below_majority", GOOD, {"accuracy": 0.3, "majority_accuracy": 0.4}, {"accuracy": 0.2}),
        ("worse_than_before", GOOD, {"accuracy": 0.3}, {"accuracy": 0.5}),
    ],
)
def test_predictions_tell_what_is_wrong(
    tmp_path: Path, name: str, rows: list[dict[str, Any]], after: dict[str, float], before: dict[str, float]
) -> None:
    folder = written(tmp_path, HEALTHY)
    evaluated(tmp_path, rows, after, before)
    assert diagnose(folder).keys() == {name}


def test_worse_within_the_intervals_is_not_told(tmp_path: Path) -> None:
    folder = written(tmp_path, HEALTHY)
    evaluated(tmp_path, GOOD, {"accuracy": 0.48}, {"accuracy": 0.5})
    for run, bounds in (("base", [0.4, 0.6]), ("seed0", [0.38, 0.58])):
        report = tmp_path / f"results/x/{run}/evaluate/kinds/report.json"
        report.write_text(json.dumps({**json.loads(report.read_text()), "intervals": {"accuracy": bounds}}))
    assert diagnose(folder) == {}


def sparse(file: Path, size: int) -> None:
    """A file that has a size and takes no room."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as empty:
        empty.truncate(size)


def test_optimizer_state_that_dwarfs_the_model(tmp_path: Path) -> None:
    folder = written(tmp_path, HEALTHY)
    sparse(folder / "model/model.safetensors", 10**9)
    for step in (100, 200):
        sparse(folder / f"checkpoints/checkpoint-{step}/optimizer.pt", 2 * 10**9)
        sparse(folder / f"checkpoints/checkpoint-{step}/model.safetensors", 10**9)
    found = diagnose(folder)
    assert found["optimizer_state"]["figures"] == {"state": 4.0, "model": 1.0}
    (folder / "checkpoints/checkpoint-100/optimizer.pt").unlink()
    assert diagnose(folder) == {}


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ({"training": {"peak_device_memory_mb": 79_000, "device_memory_mb": 81_000}}, "GPU: 79,000 / 81,000 MiB (98%)"),
        ({"peak_memory_mb": 7_800, "memory_mb": 8_000}, "RAM: 7,800 / 8,000 MiB"),
        ({"memory_ran_out": {"went_on_with": {"per_device_train_batch_size": 2}}}, "per_device_train_batch_size: 2"),
    ],
)
def test_memory_near_its_limit(tmp_path: Path, measured: dict[str, Any], told: str) -> None:
    found = diagnose(written(tmp_path, HEALTHY, measured=measured))
    assert told in found["memory_limit"]["symptom"]


def test_a_finished_training_that_nobody_looked_at(tmp_path: Path) -> None:
    folder = written(tmp_path, curve(*falling()))
    assert diagnose(folder).keys() == {"never_evaluated"}
    (tmp_path / "results/x/seed0/evaluate/kinds").mkdir(parents=True)
    (tmp_path / "results/x/seed0/evaluate/kinds/spec.json").write_text("{}")
    assert diagnose(folder) == {}, "it is about to be evaluated"


def test_a_training_that_runs_is_read_as_far_as_it_got(tmp_path: Path) -> None:
    folder = written(tmp_path, [*curve(*falling()), *validation(1.2, 0.8, 0.7, 0.9, 1.1)], finished=False)
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"step": 410, "lo')  # the line that is being written
    assert diagnose(folder).keys() == {"overfitting"}
    assert "(not finished)" in CliRunner().invoke(group, ["diagnose", str(folder)]).output


def test_a_training_that_failed_tells_why(tmp_path: Path) -> None:
    folder = written(tmp_path, curve(1.0, 1.1), finished=False)
    said = "the loss became nan in step 30, its batch. Look at these rows"
    (folder / "train.log").write_text(f"2026-01-01 00:00:00,000 ERROR polar_tools: {said}\n")
    assert said in diagnose(folder)["diverging"]["symptom"]


def test_rewards_are_no_losses(tmp_path: Path) -> None:
    log = [{**line, "reward": 1.0} for line in curve(*(1.0 + 0.05 * step for step in range(40)))]
    folder = written(tmp_path, log)
    evaluated(tmp_path, GOOD, {"accuracy": 0.9})
    assert diagnose(folder) == {}


def test_an_experiment_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, HEALTHY)
    monkeypatch.chdir(tmp_path)
    for path in ("x", "results/x", "results/x/seed0/train"):
        assert diagnose(Path(path)) == {}
    done = tiny.inside("diagnose", "y", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no training at y" in done.stderr


def test_findings_are_told_in_korean(tmp_path: Path) -> None:
    folder = written(tmp_path, [*curve(*falling()), *validation(1.2, 0.8, 0.7, 0.9, 1.1)])
    assert diagnose(folder, "--language", "ko")["overfitting"]["title"] == "과적합"


# --- words -----------------------------------------------------------------------------------------------------------------------------


def places(words: Any) -> set[str]:
    """The figures that the words hold."""
    return {name for text in vars(words).values() for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("name", discovery.names("diagnosis"))
def test_every_language_tells_the_same(name: str) -> None:
    words = discovery.load("diagnosis", name).WORDS
    assert sorted(words) == languages.names()
    used = {language: {place.removesuffix("_ko") for place in places(one)} for language, one in words.items()}
    assert used["en"] == used["ko"]


@pytest.fixture(scope="module")
def fields() -> set[str]:
    """Every field of a config, and the filters, which stand among fields."""
    return set(re.findall(r'"(\w+)": \{', json.dumps(reference.json_schema()))) | set(discovery.names("filters"))


@pytest.mark.parametrize("name", discovery.names("diagnosis"))
def test_what_is_to_be_changed_is_in_the_config(name: str, fields: set[str]) -> None:
    others = {"optim: adamw_8bit", "adafactor", "columns", "stratify: label", "generation"}
    for words in discovery.load("diagnosis", name).WORDS.values():
        for told in re.findall(r"`([^`{]+)[^`]*`", words.change):
            field = told.partition(":")[0].strip()
            assert field in fields or told in others, f"{name}: {told}"


# --- trainings that were really made so --------------------------------------------------------------------------------------------------


def trained(root: Path, assets: Path, rows: list[dict[str, str]], held: list[dict[str, str]] | None = None, **fields: Any) -> Path:
    """The folder of a tiny classifier's training on `rows`, looked at on `held` each epoch."""
    from datasets import Dataset

    from polar_tools import tokens

    watched = {"eval_datasets": {"held": "d"}, "eval_strategy": "epoch"} if held else {}
    told = {"lr_scheduler_type": "linear", "per_device_train_batch_size": 8, **fields}
    trial = training.Trial("classification", assets / "assets/bert", rows, root / "trainer", **watched, **told)

    def tokenized(some: list[dict[str, str]]) -> Any:
        rendered = trial.method.render(trial.config, trial.processor, trial.features, some)
        return Dataset(tokens.tables(rendered, rendered)[0])

    run = {"output_dir": str(root / "trainer"), "seed": 0, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    looked_at = {"held": tokenized(held)} if held else None
    trainer = trial.method.build_trainer(trial.config, trial.model, trial.processor, tokenized(rows), looked_at, [], **run)
    trainer.train()
    return written(root, [line for line in trainer.state.log_history if "train_runtime" not in line], **told)


def sorted_out(assets: Path, count: int, first: int = 0) -> list[dict[str, str]]:
    """Rows whose label stands in their text."""
    return [{"text": row["question"], "label": row["kind"]} for row in training.sayings(assets)[first : first + count]]


def at_random(rows: list[dict[str, str]], seed: int) -> list[dict[str, str]]:
    """The same texts with labels that have nothing to do with them."""
    chance = random.Random(seed)
    return [{**row, "label": chance.choice(LABELS)} for row in rows]


def test_a_model_that_learnt_labels_by_heart_overfits(tmp_path: Path, assets: Path) -> None:
    rows = [{"text": f"{chr(97 + place)} {place} {row['text']}", "label": row["label"]} for place, row in enumerate(sorted_out(assets, 24))]
    folder = trained(tmp_path, assets, at_random(rows, 1), at_random(rows, 2), num_train_epochs=20, learning_rate=5e-3)
    found = diagnose(folder)
    assert "overfitting" in found
    assert 0 < found["overfitting"]["figures"]["epoch"] < 20


def test_a_learning_rate_far_too_high_diverges(tmp_path: Path, assets: Path) -> None:
    rate = {"learning_rate": 3.0, "lr_scheduler_type": "constant", "max_grad_norm": 1e9, "optim": "sgd"}
    assert "diverging" in diagnose(trained(tmp_path, assets, sorted_out(assets, 32), max_steps=40, **rate))


def test_a_learning_rate_far_too_low_learns_nothing(tmp_path: Path, assets: Path) -> None:
    folder = trained(tmp_path, assets, sorted_out(assets, 8), max_steps=20, learning_rate=1e-9)
    assert "flat_loss" in diagnose(folder)


def test_a_training_that_ended_too_early_was_still_falling(tmp_path: Path, assets: Path) -> None:
    fields = {"max_steps": 30, "learning_rate": 2e-3, "lr_scheduler_type": "constant"}
    assert "still_falling" in diagnose(trained(tmp_path, assets, sorted_out(assets, 8), **fields))


def test_a_training_that_went_well_has_no_finding(tmp_path: Path, assets: Path) -> None:
    rows, held = sorted_out(assets, 48), sorted_out(assets, 24, first=48)
    assert diagnose(trained(tmp_path, assets, rows, held, num_train_epochs=15, learning_rate=3e-3)) == {}
