"""What grpo, rloo and ppo hand to their trainers: every setting, the ids of predict, rewards with the row; and that they go on exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch

from polar_tools import discovery, judging
from polar_tools.methods import base
from tests import sounds

COMMON = {
    "model": "m",
    "dataset": "d",
    "chat_template": "none",
    "rewards": [{"name": "rouge", "weight": 2.0}, {"name": "length", "target": 4}],
}
RUN = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "seed": 0}
SHARED = {"max_completion_length": 5, "temperature": 0.5, "learning_rate": 0.25, "per_device_train_batch_size": 6}
GROUPED = {
    **{"num_generations": 3, "steps_per_generation": 2, "num_iterations": 2, "top_p": 0.75, "top_k": 5, "repetition_penalty": 1.5},
    **{"epsilon": 0.125, "epsilon_high": 0.5, "mask_truncated_completions": True, "beta": 0.25},
}
OWN = {
    "grpo": {**GROUPED, "loss_type": "bnpo", "scale_rewards": "batch", "importance_sampling_level": "sequence", "delta": 2.0},
    "rloo": {**GROUPED, "normalize_advantages": True, "reward_clip_range": (-1.0, 1.0)},
    "ppo": {
        **{
            "num_ppo_epochs": 2,
            "num_mini_batches": 3,
            "gamma": 0.5,
            "lam": 0.25,
            "cliprange": 0.125,
            "cliprange_value": 0.375,
            "vf_coef": 0.5,
        },
        **{"kl_coef": 0.75, "kl_estimator": "k3", "kl_target": 2.0, "kl_horizon": 7, "whiten_rewards": True, "missing_eos_penalty": 0.5},
    },
}
METHODS = sorted(OWN)
ROWS = [{"prompt": f"my {other} {animal} says", "completion": sound} for other in sounds.FILLERS for animal, sound in sounds.SOUNDS.items()]


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speaker")
    sounds.make(folder, folder)
    return folder / "assets/speaker"


def made(method: str, speaker: Path, folder: Path, adapter: bool = False, **given: Any) -> tuple[Any, Any, Any]:
    """The config, the tokenizer and the trainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    module = discovery.load("methods", method)
    config = module.Config(**{**COMMON, **given})
    tokenizer = AutoTokenizer.from_pretrained(speaker)
    model = AutoModelForCausalLM.from_pretrained(speaker)
    if adapter:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    else:  # as after an adapter was merged: other weights than lie in the folder
        model.lm_head.weight.data.mul_(2)
    rows = Dataset.from_list(ROWS)
    return config, tokenizer, module.build_trainer(config, model, tokenizer, rows, {"held": rows}, [], output_dir=str(folder), **RUN)


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_reaches_the_trainer(method: str, speaker: Path, tmp_path: Path) -> None:
    given = {**SHARED, **OWN[method]}
    assert set(given) >= set(discovery.load("methods", method).Config.model_fields) - set(base.Config.model_fields) - set(COMMON) - {
        *("system_prompt", "prompt_template")
    }
    _, _, trainer = made(method, speaker, tmp_path, **given)
    assert {name: getattr(trainer.args, name) for name in given} == given
    assert trainer.args.reward_weights == [2.0, 1.0]


@pytest.mark.parametrize("method", METHODS)
def test_trained_prompts_are_those_that_predict_sends(method: str, speaker: Path, tmp_path: Path) -> None:
    config, tokenizer, trainer = made(method, speaker, tmp_path, per_device_train_batch_size=8)
    rendered = [example["input_ids"] for example in judging.render(config, tokenizer, {}, ROWS)]
    assert list(trainer.train_dataset["prompt"]) == list(trainer.eval_dataset["held"]["prompt"]) == rendered
    if method != "ppo":
        assert trainer._tokenize_prompts(rendered)[0] == rendered
        assert trainer.eos_token_ids == trainer.generation_config.eos_token_id == [tokenizer.eos_token_id]


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_reference_is_the_model_as_it_was_given(method: str, speaker: Path, tmp_path: Path) -> None:
    _, _, trainer = made(method, speaker, tmp_path, beta=0.5)
    pairs = zip(trainer.ref_model.parameters(), trainer.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("method", METHODS)
def test_rewards_see_the_row_of_each_prompt(method: str, speaker: Path, tmp_path: Path) -> None:
    _, _, trainer = made(method, speaker, tmp_path)
    rouge, length = trainer.reward_funcs
    assert [rouge.__name__, length.__name__] == ["rouge", "length"]
    places = trainer.train_dataset["place"][:3] + trainer.eval_dataset["held"]["place"][:3]
    said = [row["completion"] for row in ROWS[:3]] * 2
    assert rouge(prompts=[], completions=said, completion_ids=[], place=places) == [1.0] * 6
    assert rouge(prompts=[], completions=["my", *said[1:]], completion_ids=[], place=places) == [0.0] + [1.0] * 5
    assert length(prompts=[], completions=[" a b c d \n"] * 6, completion_ids=[], place=places) == [1.0] * 6


@pytest.mark.parametrize(("method", "adapter"), [("grpo", False), ("rloo", True), ("ppo", True)])
def test_training_goes_on_from_a_checkpoint_exactly(method: str, adapter: bool, speaker: Path, tmp_path: Path) -> None:
    settings = {
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "save_total_limit": 2,
        "logging_steps": 1,
        "learning_rate": 1e-2,
        "max_completion_length": 4,
    }
    own = {"beta": 0.1, "num_generations": 4, "num_iterations": 2} if method != "ppo" else {}
    _, _, whole = made(method, speaker, tmp_path / "whole", adapter, **settings, **own)
    whole.train()
    _, _, resumed = made(method, speaker, tmp_path / "resumed", adapter, **settings, **own)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-2"))
    states = [trainer.model.state_dict() for trainer in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all("step_time" not in entry for entry in whole.state.log_history)


@pytest.mark.parametrize("method", METHODS)
def test_checkpoint_can_be_chosen_by_its_reward(method: str, speaker: Path, tmp_path: Path) -> None:
    every = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "eval_datasets": {"held": "d"}}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "held_reward", "greater_is_better": True}
    _, _, trainer = made(method, speaker, tmp_path, True, **every, **best, max_steps=2, max_completion_length=4, logging_steps=1)
    trainer.train()
    seen = [entry["eval_held_reward"] for entry in trainer.state.log_history if "eval_held_reward" in entry]
    assert len(seen) == 2
    assert trainer.state.best_metric == max(seen)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_carry_their_rewards(method: str, speaker: Path, tmp_path: Path) -> None:
    config, tokenizer, trainer = made(method, speaker, tmp_path)
    found = discovery.load("methods", method).predict(config, trainer.model, tokenizer, {}, ROWS[:2], {"max_new_tokens": 4})
    for row, prediction in zip(ROWS, found, strict=False):
        assert (prediction.input, prediction.reference) == (row["prompt"], row["completion"])
        figures = prediction.figures
        assert figures["reward"] == pytest.approx(2 * figures["reward_rouge"] + figures["reward_length"])
