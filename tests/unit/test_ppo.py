"""PPO's arithmetic against numbers worked out by hand, and its trainer on a tiny model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from polar_tools.trainers import ppo_objective as objective

WORDS = ["<pad>", "<s>", "</s>", "the", "says", "cat", "dog", "purr", "bark", "and"]
MASK = tensor([[False, True, True, True], [True, True, False, False]])


def test_advantages_by_hand() -> None:
    rewards, values = tensor([[9.0, 0.0, 0.0, 1.0], [0.5, 2.0, 9.0, 9.0]]), tensor([[9.0, 0.5, 0.25, 0.5], [1.0, 0.5, 9.0, 9.0]])
    estimates, returns = objective.advantages(rewards, values, MASK, gamma=0.9, lam=0.5)
    # Row 0, from its end: 1 - 0.5 = 0.5; 0.9 * 0.5 - 0.25 + 0.45 * 0.5 = 0.425; 0.9 * 0.25 - 0.5 + 0.45 * 0.425 = -0.08375
    # Row 1: 2 - 0.5 = 1.5; 0.5 + 0.9 * 0.5 - 1 + 0.45 * 1.5 = 0.625
    assert torch.allclose(estimates, tensor([[0.0, -0.08375, 0.425, 0.5], [0.625, 1.5, 0.0, 0.0]]))
    assert torch.allclose(returns, tensor([[0.0, 0.41625, 0.675, 1.0], [1.625, 2.0, 0.0, 0.0]]))


def test_without_decay_every_return_is_what_is_still_to_come() -> None:
    rewards, values = torch.rand(2, 4), torch.rand(2, 4)
    _, returns = objective.advantages(rewards, values, MASK, gamma=1.0, lam=1.0)
    to_come = (rewards * MASK).flip(1).cumsum(1).flip(1) * MASK
    assert torch.allclose(returns, to_come)


def test_score_stands_at_the_last_token_and_the_penalty_at_each() -> None:
    kl = tensor([[9.0, 1.0, 2.0, 3.0], [1.0, 2.0, 9.0, 9.0]])
    rewards = objective.token_rewards(tensor([10.0, 20.0]), kl, MASK, 0.5)
    assert torch.allclose(rewards, tensor([[0.0, -0.5, -1.0, 8.5], [-0.5, 19.0, 0.0, 0.0]]))


def test_whitening_sees_only_what_was_chosen() -> None:
    values = tensor([[1e6, 1.0, 2.0, 3.0], [4.0, 5.0, 1e6, 1e6]])
    white = objective.whiten(values, MASK)
    kept = white[MASK]
    assert kept.mean().abs() < 1e-6
    assert torch.isclose(kept.var(), tensor(1.0))
    assert not white[~MASK].any()
    assert torch.allclose(objective.whiten(values, MASK, shift_mean=False)[MASK], kept + 3)
    assert torch.isfinite(objective.whiten(values, tensor([[True] + [False] * 3, [False] * 4]))).all(), "a single token has no variance"


def test_policy_is_clipped_where_it_would_gain() -> None:
    ratio, advantages = tensor([1.5, 1.5, 0.5, 0.5, 1.1]), tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    losses, clipped = objective.policy_losses(ratio.log(), torch.zeros(5), advantages, 0.2)
    assert torch.allclose(losses, tensor([-1.2, 1.5, -0.5, 0.8, -1.1]))
    assert clipped.tolist() == [True, False, False, True, False]


def test_value_gains_nothing_by_moving_far() -> None:
    losses, clipped = objective.value_losses(tensor([1.0, 0.1, -1.0]), torch.zeros(3), tensor([1.0, 1.0, 1.0]), 0.2)
    assert torch.allclose(losses, 0.5 * tensor([0.64, 0.81, 4.0]))
    assert clipped.tolist() == [True, False, False]


def test_estimators_of_the_divergence() -> None:
    logps, reference = tensor([-1.0, -2.0]), tensor([-2.0, -1.0])
    assert objective.divergence(logps, reference, "k1").tolist() == [1.0, -1.0]
    assert torch.allclose(objective.divergence(logps, reference, "k3"), tensor([0.36788, 0.71828]), atol=1e-4)


def test_penalty_grows_above_the_target_and_shrinks_below() -> None:
    weights = [float(objective.adapted(tensor(0.1), tensor(kl), target=6.0, share=0.5)) for kl in (60.0, 6.6, 6.0, 0.0)]
    assert weights == pytest.approx([0.11, 0.105, 0.1, 0.09])


def reward(prompts: list[list[int]], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """The share of four words that are what the animal says."""
    wanted = {5: 7, 6: 8}
    return [written.count(wanted[prompt[-2]]) / 4 for prompt, written in zip(prompts, completion_ids, strict=True)]


def trainer(folder: Path, adapter: bool = False, **settings: Any) -> Any:
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from polar_tools.trainers.ppo import PPOConfig, PPOTrainer

    torch.set_num_threads(1)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>")
    torch.manual_seed(0)
    size = {"vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**size, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    if adapter:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    texts = ["the cat says", "and the dog says"] * 4
    rows = Dataset.from_dict({"prompt": [tokenizer.encode(text) for text in texts]})
    same = {
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "max_completion_length": 4,
    }
    batch = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "num_mini_batches": 2, "learning_rate": 1e-2}
    args = PPOConfig(str(folder), **{**same, **batch, "max_steps": 4, **settings})
    return PPOTrainer(model, [reward], args, stop=2, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)


def logged(made: Any) -> list[dict[str, float]]:
    steps = [entry for entry in made.state.log_history if "loss" in entry]
    return [{name: value for name, value in entry.items() if name != "episodes_per_second"} for entry in steps]


@pytest.mark.parametrize("adapter", [False, True])
def test_training_goes_on_from_a_checkpoint_exactly(tmp_path: Path, adapter: bool) -> None:
    settings = {"adapter": adapter, "save_strategy": "steps", "save_steps": 2, "kl_target": 0.01, "kl_horizon": 10}
    whole = trainer(tmp_path / "whole", **settings)
    whole.train()
    assert (tmp_path / "whole/checkpoint-2/critic.safetensors").is_file()
    resumed = trainer(tmp_path / "resumed", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-2"))
    states = [made.model.state_dict() for made in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert states[0]["value_head.weight"].any()
    assert states[0]["kl_coef"] != pytest.approx(0.05)
    assert logged(whole) == logged(resumed)


def test_only_the_policy_is_the_trained_model(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = trainer(tmp_path / "run")
    made.train()
    made.model.save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "generation_config.json", "model.safetensors"]
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in made.model.policy.state_dict().items())


@pytest.mark.parametrize("adapter", [False, True])
def test_first_pass_starts_where_it_wrote_and_at_the_reference(tmp_path: Path, adapter: bool) -> None:
    made = trainer(tmp_path, adapter, max_steps=1, num_ppo_epochs=1, num_mini_batches=1)
    made.train()
    first = logged(made)[0]
    assert first["val/ratio"] == pytest.approx(1, abs=1e-5)
    assert first["val/ratio_var"] == pytest.approx(0, abs=1e-5)
    assert first["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert first["policy/clipfrac_avg"] == 0
    assert {"objective/entropy", "objective/rlhf_reward", "loss/value_avg", "policy/approxkl_avg", "reward", "rewards/reward/mean"} <= set(
        first
    )


def test_parts_of_a_mini_batch_sum_to_the_whole(tmp_path: Path) -> None:
    """However many rows the device holds, gradients are those of the mini-batch."""
    figures = []
    for rows, batches in ((4, 1), (2, 2)):
        made = trainer(
            tmp_path,
            max_steps=1,
            num_ppo_epochs=1,
            num_mini_batches=1,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=batches,
        )
        made._complete = lambda batch: [[7, 7, 2] if row["prompt"][-2] == 5 else [9, 8, 9, 9] for row in batch]
        made.train()
        figures.append((logged(made)[0]["grad_norm"], logged(made)[0]["loss"]))
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)


def test_values_and_probabilities_do_not_depend_on_the_padding(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    rows, written = [{"prompt": [3, 5, 4]}, {"prompt": [9, 3, 6, 4]}], [[7, 2], [8, 8, 9, 8]]
    together = made._rollout(made.model, rows, written)
    for place, (row, completion) in enumerate(zip(rows, written, strict=True)):
        alone = made._rollout(made.model, [row], [completion])
        for name in ("logps", "values", "reference"):
            assert torch.allclose(getattr(together, name)[place][together.chosen[place]], getattr(alone, name)[0], atol=1e-6), name
        assert together.targets[place][together.chosen[place]].tolist() == completion


def test_completions_without_an_end_cost_the_penalty(tmp_path: Path) -> None:
    made = trainer(tmp_path, missing_eos_penalty=0.5)
    rows = [{"prompt": [3, 5, 4]}] * 2
    assert made._scores(rows, [[7, 2], [7, 7]]).tolist() == [0.25, 0.0]


def test_evaluating_in_between_changes_no_training(tmp_path: Path) -> None:
    plain = trainer(tmp_path / "plain")
    plain.train()
    watched = trainer(tmp_path / "watched", eval_strategy="steps", eval_steps=1)
    watched.train()
    assert logged(plain) == logged(watched)
    seen = [entry["eval_reward"] for entry in watched.state.log_history if "eval_reward" in entry]
    assert len(seen) == 4
    assert watched.evaluate()["eval_reward"] == seen[-1]


def test_best_checkpoint_is_loaded_with_its_critic(tmp_path: Path) -> None:
    every = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    made = trainer(tmp_path, **every, load_best_model_at_end=True, metric_for_best_model="reward", greater_is_better=True)
    made.train()
    from safetensors.torch import load_file

    best = Path(made.state.best_model_checkpoint)
    assert torch.equal(load_file(best / "critic.safetensors")["value_head.weight"], made.model.value_head.weight)
    assert torch.equal(load_file(best / "model.safetensors")["lm_head.weight"], made.model.policy.lm_head.weight)
