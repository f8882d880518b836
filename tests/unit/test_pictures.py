"""Pictures under other methods than `multimodal`: what is trained on, what a model is given, what is learnt, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForImageTextToText

from polar_tools import architectures, modeling
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
    """Before the first step the model is its reference: only the wrong pictures could make them differ."""
    fields = {
        "beta": 0.5,
        "gradient_accumulation_steps": 2,
        "num_iterations": 2,
        "save_strategy": "no",
        "use_peft": adapter,
        "max_steps": 2,
    }
    rows = [*ASKED, {"prompt": QUESTION, "completion": "black", "images": [stored("black"), stored("white")]}]
    trainer = trainer_of(method, folder, rows, tmp_path, **fields)
    seen: list[torch.Tensor] = []
    forward = trainer.model.get_base_model() if adapter else trainer.model
    forward.register_forward_pre_hook(lambda _, args, given: seen.append(given.get("pixel_values")), with_kwargs=True)
    trainer.train()
    first, second = (line["kl"] for line in trainer.state.log_history if "kl" in line)
    assert abs(first) < 1e-6 < abs(second)
    assert any(pixels is not None for pixels in seen)


def test_a_prompts_picture_decides_how_probable_an_answer_is(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(grpo, folder, ASKED, tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
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


FAST = """\
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
    learning.run_plan(tmp_path, pictured.config(f"  learn:\n    method: dpo\n    beta: 1.0\n    max_steps: 40\n{FAST}"), monkeypatch)
    before, after, turned = (
        learning.report(tmp_path, run, evaluation)["metrics"]
        for run, evaluation in (("base", "learn"), ("seed0", "learn"), ("seed0", "turned"))
    )
    assert before["preference_accuracy"] <= 0.6 and after["preference_accuracy"] >= 0.85 and turned["preference_accuracy"] <= 0.3
    assert "image_soft_token" in (tmp_path / "results/learn/tokenize/report.html").read_text()
    checks = json.loads((tmp_path / "results/learn/seed0/train/preflight.json").read_bytes())["checks"]
    assert {name for name, found in checks.items() if found["result"] == "passed"} == {"mask", "options", "same_ids", "save_load"}
