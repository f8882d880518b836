"""Pictures under other methods than `multimodal`: what is trained on, what a model is given, what is learnt, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from datasets import Dataset
from transformers import AutoModelForImageTextToText

from polar_tools import architectures, modeling
from polar_tools.cli import explain, group
from polar_tools.errors import ConfigError, DataError
from polar_tools.methods import base, dpo, grpo, multimodal, orpo, rloo, sft
from tests import learning, pictured
from tests.cases.multimodal import make_tiny_model
from tests.unit.test_multimodal import PICTURE, QUESTION, TEXT, dialogue, stored

SHARED = {"model": "m", "dataset": "d", "threads": 1}
REWARDED = {"rewards": [{"name": "exact_match"}], "max_completion_length": 3, "num_generations": 2, "per_device_train_batch_size": 4}
RUN = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "seed": 0}
PAIRS: list[dict[str, Any]] = [
    {"prompt": QUESTION, "chosen": "red", "rejected": "blue red blue", "images": [stored()]},
    {"prompt": "say blue", "chosen": "blue", "rejected": "red", "images": []},
    {"prompt": QUESTION, "chosen": "blue white", "rejected": "red", "images": [stored("blue")]},
]
ASKED = [{"prompt": row["prompt"], "completion": row["chosen"], "images": row["images"]} for row in PAIRS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "gemma"
    make_tiny_model(made)
    return made


def told(method: ModuleType, **fields: Any) -> Any:
    return method.Config(**{**SHARED, **(REWARDED if method in (grpo, rloo) else {}), **fields})


def processor_of(method: ModuleType, folder: Path, columns: tuple[str, ...] = ("images",), **fields: Any) -> Any:
    config = told(method, **fields)
    return method.set_up(config, modeling.load_processor(str(folder), method, config, columns))


def trainer_of(method: ModuleType, folder: Path, rows: list[dict[str, Any]], output: Path, **fields: Any) -> Any:
    config = told(method, **{"max_steps": 1, "train_sampling_strategy": "sequential", "learning_rate": 0.05, "logging_steps": 1, **fields})
    modeling.seed_everything(0, 1)
    model = modeling.load_model(str(folder), method, config, {}, adapter=True)
    processor, run = processor_of(method, folder, **fields), {"output_dir": str(output), **RUN}
    return method.build_trainer(config, model, processor, Dataset.from_list(rows), None, [], **run)


def unpadded(batch: Mapping[str, torch.Tensor], name: str) -> list[list[int]]:
    return [row[mask.bool()].tolist() for row, mask in zip(batch[name], batch["attention_mask"], strict=True)]


def test_sft_trains_on_the_tokens_of_multimodal(folder: Path) -> None:
    shown, seeing = processor_of(sft, folder), processor_of(multimodal, folder)
    rows = [PICTURE, TEXT]
    examples = sft.render(told(sft), shown, {}, rows)
    assert examples == multimodal.render(told(multimodal), seeing, {}, rows)
    for row, example in zip(rows, examples, strict=True):
        sft.check(told(sft), shown, row, example)
    [alone] = sft.render(told(sft), processor_of(sft, folder, ()), {}, [{"messages": TEXT["messages"]}])
    assert alone == {name: examples[1][name] for name in ("input_ids", "labels")}


@pytest.mark.parametrize("limits", [{}, {"max_completion_length": 2}, {"max_length": 28, "on_too_long": "cut_right"}])
def test_a_batch_of_pairs_holds_what_was_measured(folder: Path, tmp_path: Path, limits: dict[str, Any]) -> None:
    config, shown = told(dpo, **limits), processor_of(dpo, folder)
    examples = [dpo.fit(config, one) for one in dpo.render(config, shown, {}, PAIRS)]
    for row, example in zip(PAIRS, examples, strict=True):
        dpo.check(config, shown, row, example)
    batch = trainer_of(dpo, folder, PAIRS, tmp_path, **limits).data_collator(PAIRS)
    both = [(example[f"{answer}_input_ids"], example[f"{answer}_labels"]) for answer in ("chosen", "rejected") for example in examples]
    assert unpadded(batch, "input_ids") == [ids for ids, _ in both]
    assert unpadded(batch, "completion_mask") == [[int(label != base.IGNORED) for label in labels] for _, labels in both]
    assert batch["input_ids"].shape[1] == max(len(ids) for ids, _ in both)
    halves = batch["pixel_values"].chunk(2)
    assert torch.equal(*halves) and len(halves[0]) == 2 and not torch.equal(*halves[0])


@pytest.mark.parametrize("method", [dpo, orpo])
def test_pairs_take_a_step_on_their_pictures(folder: Path, tmp_path: Path, method: ModuleType) -> None:
    turned = [{**row, "images": [stored("white") for _ in row["images"]]} for row in PAIRS]
    losses = []
    for rows in (PAIRS, turned):
        trainer = trainer_of(method, folder, rows, tmp_path, per_device_train_batch_size=3, max_steps=2)
        trainer.train()
        losses.append([line["loss"] for line in trainer.state.log_history if "loss" in line])
    assert losses[0][1] != losses[1][1] and losses[0][1] < losses[0][0]


@pytest.mark.parametrize("method", [grpo, rloo])
def test_prompts_with_pictures_are_the_ids_that_predict_sends(folder: Path, method: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    config, shown = told(method), processor_of(method, folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    sent: list[dict[str, torch.Tensor]] = []
    generate = model.generate
    monkeypatch.setattr(model, "generate", lambda **inputs: sent.append(inputs) or generate(**inputs))
    predictions = method.predict(config, model, shown, {}, ASKED, {"max_new_tokens": 2, "do_sample": False})
    examples = method.render(config, shown, {}, ASKED)
    assert unpadded(sent[0], "input_ids") == [example["input_ids"] for example in examples]
    assert [example["pictures"] for example in examples] == [[4], [0], [4]] and sent[0]["pixel_values"].shape[0] == 2
    assert [(row.input, row.reference) for row in predictions] == [(row["prompt"], row["completion"]) for row in ASKED]


@pytest.mark.parametrize("method", [grpo, rloo])
@pytest.mark.parametrize("adapter", [False, True])
def test_completions_are_judged_beside_their_own_pictures(folder: Path, tmp_path: Path, method: ModuleType, adapter: bool) -> None:
    """Before the first step the model is its reference, and what it makes of a completion must not depend on how batches are cut."""
    fields = {"beta": 0.5, "gradient_accumulation_steps": 2, "use_peft": adapter, "rewards": [{"name": "length", "target": 4}]}
    rows = [*ASKED, {"prompt": QUESTION, "completion": "black", "images": [stored("black"), stored("white")]}]
    trainer = trainer_of(method, folder, rows, tmp_path, save_strategy="no", **fields)
    found: dict[tuple[int, ...], list[list[float]]] = {}
    measured = trainer._get_per_token_logps_and_entropies

    def watched(model: Any, ids: torch.Tensor, mask: torch.Tensor, *further: Any, **named: Any) -> Any:
        made = measured(model, ids, mask, *further, **named)
        for row, there, numbers in zip(ids, mask, made[0], strict=True):
            found.setdefault(tuple(row[there.bool()].tolist()), []).append((numbers * there[-numbers.shape[0] :]).tolist())
        return made

    trainer._get_per_token_logps_and_entropies = watched
    trainer.train()
    assert len(found) == 8 and min(len(several) for several in found.values()) >= 2
    for several in found.values():
        assert all(one == pytest.approx(several[0], abs=1e-5) for one in several)


def test_a_prompts_picture_decides_how_probable_an_answer_is(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(grpo, folder, ASKED, tmp_path)
    model = trainer.model.eval()
    config, shown = told(sft), processor_of(sft, folder)
    examples = sft.render(config, shown, {}, ASKED)
    losses = [row.loss for row in sft.predict(config, model, shown, {}, ASKED, {"max_new_tokens": 1})]
    start = [next(place for place, label in enumerate(one["labels"]) if label != base.IGNORED) for one in examples]
    answers = [[label for label in one["labels"] if label != base.IGNORED] for one in examples]
    before, behind = max(start), max(map(len, answers))
    ids, mask = torch.zeros(3, before + behind, dtype=torch.long), torch.zeros(3, before + behind, dtype=torch.long)
    for row, (one, begin, answer) in enumerate(zip(examples, start, answers, strict=True)):
        there = slice(before - begin, before + len(answer))
        ids[row, there], mask[row, there] = torch.tensor(one["input_ids"][: begin + len(answer)]), 1
    trainer._places = [0, 1, 2]
    for size in (None, 2):
        logps, _, _ = trainer._get_per_token_logps_and_entropies(model, ids, mask, behind, size)
        assert (-logps.sum(1)).tolist() == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "fields", "says"),
    [
        (sft, {"packing": True, "max_length": 64}, "packing: true rows with pictures can't be packed"),
        (sft, {"chat_template": "none"}, "chat_template: none writes no turns"),
        (sft, {"max_length": 64, "on_too_long": "cut_left"}, "on_too_long: cut_left would cut pictures off"),
        (sft, {"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy: group_by_length needs tokens"),
        (dpo, {"precompute_ref_log_probs": True}, "precompute_ref_log_probs: true trl asks the reference"),
        (dpo, {"max_prompt_length": 9}, "max_prompt_length: would cut pictures off"),
        (grpo, {"chat_template": "none"}, "chat_template: none writes no turns"),
    ],
)
def test_choices_that_do_not_go_with_pictures(folder: Path, method: ModuleType, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        processor_of(method, folder, **fields)


def test_rows_that_can_not_be_shown_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="plain text and have no turns in which a picture could stand"):
        dpo.render(told(dpo), processor_of(dpo, folder), {}, [{"chosen": "a b", "rejected": "a c", "images": [stored()]}])
    limited = told(dpo, max_length=8, on_too_long="cut_right")
    [example] = dpo.render(limited, processor_of(dpo, folder), {}, PAIRS[:1])
    with pytest.raises(DataError, match="are the same after the cut|max_length would cut tokens of its pictures off"):
        dpo.check(limited, processor_of(dpo, folder), PAIRS[0], dpo.fit(limited, example))
    two = dialogue(("user", [{"type": "image"}] * 2), ("assistant", "a"), images=[stored()])
    with pytest.raises(base.RowError, match="places for 2 pictures, and it has 1 picture"):
        sft.render(told(sft), processor_of(sft, folder), {}, [PICTURE, two])


def test_a_model_that_sees_is_loaded_whole(tmp_path: Path) -> None:
    for kind, architecture in (("qwen2_vl", "Qwen2VLForConditionalGeneration"), ("llama4", "Llama4ForConditionalGeneration")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [architecture]}))
        assert architectures.model_class("AutoModelForCausalLM", str(tmp_path)) == "AutoModelForImageTextToText"
        assert architectures.model_class("AutoModelForMaskedLM", str(tmp_path)) == "AutoModelForMaskedLM"
        for method in ("sft", "dpo", "grpo", "multimodal"):
            architectures.check_fits(method, str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama4", "architectures": ["Llama4ForCausalLM"]}))
    assert architectures.model_class("AutoModelForCausalLM", str(tmp_path)) == "AutoModelForCausalLM"


RECIPE = """\
    model: tiny
    dataset: colours
    evaluations: [learn, turned]
    max_length: 64
    per_device_train_batch_size: 8
    learning_rate: 5.0e-3
    logging_steps: 1
    save_strategy: "no"
    threads: 1
"""


def test_dpo_prefers_the_answer_that_fits_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictured.make(tmp_path)
    learning.run_plan(
        tmp_path, pictured.config(f"  learn:\n    method: dpo\n    beta: 1.0\n    max_steps: 40\n{RECIPE}", "chosen rejected"), monkeypatch
    )
    before, after, turned = (
        learning.report(tmp_path, run, evaluation)["metrics"]
        for run, evaluation in (("base", "learn"), ("seed0", "learn"), ("seed0", "turned"))
    )
    assert before["preference_accuracy"] <= 0.6 and after["preference_accuracy"] >= 0.75 and turned["preference_accuracy"] <= 0.3
    assert "image_soft_token" in (tmp_path / "results/learn/tokenize/report.html").read_text()
    checks = json.loads((tmp_path / "results/learn/seed0/train/preflight.json").read_bytes())["checks"]
    assert {name for name, found in checks.items() if found["result"] == "passed"} == {"mask", "options", "same_ids", "save_load"}


def figures(folder: Path, figure: str, experiment: str = "learn") -> tuple[float, float, float]:
    """A figure of the untrained model, of the trained one, and of the trained one that is shown pictures that don't fit."""
    runs = (("base", "learn"), ("seed0", "learn"), ("seed0", "turned"))
    before, after, turned = (learning.report(folder, run, evaluation, experiment)["metrics"][figure] for run, evaluation in runs)
    return before, after, turned


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "least"), [("", 0.8), ("    use_peft: true\n    merge_adapter: true\n    lora_r: 32\n", 0.1)])
def test_sft_learns_what_pictures_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str, least: float) -> None:
    """Every fifth row has no picture. An adapter on random weights learns less."""
    pictured.make(tmp_path, blind=True)
    watched = "    eval_datasets: {seen: turned}\n    do_eval: true\n"
    learning.run_plan(tmp_path, pictured.config(f"  learn:\n    method: sft\n    max_steps: 60\n{RECIPE}{adapter}{watched}"), monkeypatch)
    before, after, turned = figures(tmp_path, "rouge1")
    assert before == 0 and after >= least and turned <= 0.4
    untrained, low, other = figures(tmp_path, "loss")
    assert low < untrained - 1 and low < other
    record = json.loads((tmp_path / "results/learn/seed0/train/record.json").read_bytes())
    assert record["facts"]["eval_metrics"]["eval_seen_loss"] > low
    checks = json.loads((tmp_path / "results/learn/seed0/train/preflight.json").read_bytes())["checks"]
    assert [name for name, found in checks.items() if found["result"] != "passed"] == ["packing"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["method: orpo\n    beta: 1.0", "method: dpo\n    beta: 1.0\n    use_peft: true\n    target_modules: all-linear"]
)
def test_preferences_follow_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    pictured.make(tmp_path, blind=True)
    learning.run_plan(tmp_path, pictured.config(f"  learn:\n    {recipe}\n    max_steps: 60\n{RECIPE}", "chosen rejected"), monkeypatch)
    before, after, turned = figures(tmp_path, "preference_accuracy")
    assert before <= 0.65 and after >= 0.8 and turned <= 0.5


EARN = """\
  teach: {method: sft, model: tiny, dataset: colours, max_steps: 25, per_device_train_batch_size: 8, learning_rate: 5.0e-3, threads: 1}
  learn:
    method: METHOD
    model: teach
    dataset: colours
    evaluations: [learn, turned]
    rewards: [{name: exact_match}]
    num_generations: 8
    max_completion_length: 3
    max_steps: 50
    per_device_train_batch_size: 64
    learning_rate: 1.0e-3
    logging_steps: 1
    save_strategy: "no"
    threads: 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_rewards_teach_what_pictures_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """A model that was taught a little writes at random what is right by a picture more often; every fifth prompt has none."""
    pictured.make(tmp_path, blind=True)
    learning.run_plan(tmp_path, pictured.config(EARN.replace("METHOD", method)), monkeypatch)
    lines = map(json.loads, (tmp_path / "results/learn/seed0/train/metrics.jsonl").read_text().splitlines())
    earned = [line["reward"] for line in lines if "reward" in line]
    assert sum(earned[-10:]) / 10 >= sum(earned[:5]) / 5 + 0.15
    before, after, turned = figures(tmp_path, "reward")
    assert after >= max(before, 0.85) and turned <= 0.4


@pytest.mark.slow
def test_pictures_by_the_commands_of_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assets: Path) -> None:
    pictured.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    columns = "{images: images, prompt: prompt, completion: completion}"
    words = ["train", "--train-data", "assets/colours", "--columns", columns, "--max-steps", "2", "--train-test-split-ratio", "0.2"]
    learning.command(*words, "--method", "sft", "--model-name-or-path", "assets/gemma", "--output-dir", "out")
    assert type(AutoModelForImageTextToText.from_pretrained("out/model")).__name__ == "Gemma3ForConditionalGeneration"
    for method, model, says in (
        ("sft", str(assets / "assets/llama"), "this model takes no pictures"),
        ("causal_lm", "assets/gemma", "method `causal_lm` needs `text`"),
    ):
        done = CliRunner().invoke(group, [*words, "--method", method, "--model-name-or-path", model, "--output-dir", f"out-{method}"])
        message, status = explain(done.exception or AssertionError(done.output))
        assert (status, says in message) == (2, True), message
