"""Our PPO beside trl's: the same tiny model, prompts, reward and settings, several seeds, the reward curves side by side.

    python bench/ppo.py                                      # ours alone
    pip download trl==1.12.0 --no-deps && unzip -q trl-1.12.0-py3-none-any.whl -d /tmp/trl112
    PYTHONPATH=/tmp/trl112 python bench/ppo.py               # beside the last PPOTrainer that trl had

A model of two layers and 14 words is asked `the cat says`, and earns the share of five words that are what
a cat says. The best reward is 1.
"""

import argparse
import statistics
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

SOUNDS = {"cat": "purr", "dog": "bark", "fish": "blub"}
WORDS = ["<pad>", "<s>", "</s>", "the", "says", *SOUNDS, *SOUNDS.values(), "and", "who", "it"]
PROMPT, LENGTH, ROWS = 3, 5, 64
WANTED = {WORDS.index(animal): WORDS.index(sound) for animal, sound in SOUNDS.items()}
SAME = {
    **{"learning_rate": 3e-3, "lr_scheduler_type": "linear", "per_device_train_batch_size": 32, "num_ppo_epochs": 4, "num_mini_batches": 2},
    **{"temperature": 1.0, "kl_coef": 0.01, "gamma": 1.0, "lam": 0.95, "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1},
    **{"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1},
}


def share(ids: torch.Tensor) -> torch.Tensor:
    """By row and place, the share of LENGTH words up to there that are the sound of the animal in the prompt."""
    wanted = torch.tensor([[WANTED[int(row[1])]] for row in ids])
    return ((ids == wanted) & (torch.arange(ids.size(1)) >= PROMPT)).cumsum(1) / LENGTH


def reward(prompts: Sequence[list[int]], completion_ids: Sequence[list[int]], **_: Any) -> list[float]:
    """The reward of each completion."""
    return [float(share(torch.tensor([prompt + written]))[0, -1]) for prompt, written in zip(prompts, completion_ids, strict=True)]


class RewardModel(torch.nn.Module):
    """The same as trl's trainer wants it: a backbone and a score for each of its hidden states."""

    base_model_prefix = "backbone"

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.score = Backbone(), torch.nn.Identity()


class Backbone(torch.nn.Module):
    """Hidden states that are already the reward."""

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        """`hidden_states`, as a model of transformers returns them."""
        return types.SimpleNamespace(hidden_states=[share(input_ids)[..., None]])


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left")  # noqa: S106


def model(kind: Any = LlamaForCausalLM, **options: Any) -> Any:
    """Random weights, the same each time."""
    torch.manual_seed(0)
    size = {"vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return kind(LlamaConfig(**size, pad_token_id=0, bos_token_id=1, eos_token_id=2, **options))


def prompts(words: PreTrainedTokenizerFast) -> list[list[int]]:
    """The animals in turn."""
    return [words.encode(f"the {list(SOUNDS)[row % len(SOUNDS)]} says") for row in range(ROWS)]


def ours(seed: int, steps: int, folder: str) -> list[float]:
    """The mean reward of each iteration."""
    from polar_tools.trainers.ppo import PPOConfig, PPOTrainer

    words = tokenizer()
    args = PPOConfig(folder, seed=seed, max_steps=steps, max_completion_length=LENGTH, max_grad_norm=0.0, **SAME)
    rows = Dataset.from_dict({"prompt": prompts(words)})
    trainer = PPOTrainer(model(), [reward], args, stop=words.eos_token_id, train_dataset=rows, processing_class=words)
    trainer.train()
    return [entry["objective/scores"] for entry in trainer.state.log_history if "objective/scores" in entry]


def theirs(seed: int, steps: int, folder: str) -> list[float]:
    """The same by trl, whose value model is another model rather than a layer on the policy; it clips no gradients."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    words = tokenizer()
    rows = Dataset.from_dict({"input_ids": prompts(words)})
    episodes = steps * SAME["per_device_train_batch_size"]
    args = PPOConfig(folder, seed=seed, total_episodes=episodes, response_length=LENGTH, stop_token="eos", num_sample_generations=0, **SAME)  # noqa: S106
    trainer = PPOTrainer(
        args=args,
        processing_class=words,
        model=model(),
        ref_model=None,
        reward_model=RewardModel(),
        value_model=model(LlamaForSequenceClassification, num_labels=1),
        train_dataset=rows,
        eval_dataset=rows,
    )
    trainer.train()
    return [entry["objective/scores"] for entry in trainer.state.log_history if "objective/scores" in entry]


def same_completions(folder: str) -> float:
    """Both learn from the same completions for three iterations: the largest difference between two of their weights, of what they moved.

    Each value model begins with zeros and isn't trained, for there the designs differ; order can't matter, for all prompts are the same.
    """
    import trl.experimental.ppo.ppo_trainer as trl_ppo

    from polar_tools.trainers.ppo import PPOConfig, PPOTrainer

    words, steps, size = tokenizer(), 3, SAME["per_device_train_batch_size"]
    settings = {**SAME, "num_mini_batches": 1, "vf_coef": 0.0, "kl_coef": 0.05}
    drawn = torch.Generator().manual_seed(0)
    completions = [torch.randint(3, len(WORDS), (size, LENGTH), generator=drawn) for _ in range(steps)]
    asked = [prompts(words)[0]] * size
    args = PPOConfig(folder, max_steps=steps, max_completion_length=LENGTH, max_grad_norm=0.0, **settings)
    mine = PPOTrainer(model(), [reward], args, stop=2, train_dataset=Dataset.from_dict({"prompt": asked}), processing_class=words)
    written = iter(completions)
    mine._complete = lambda rows: next(written).tolist()
    mine.train()

    theirs_written = iter(completions)

    def write(policy: Any, queries: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        whole = torch.cat([queries, next(theirs_written)], 1)
        return whole, policy(whole).logits[:, PROMPT - 1 : -1].clone()

    trl_ppo.batch_generation = write
    value = model(LlamaForSequenceClassification, num_labels=1)
    torch.nn.init.zeros_(value.score.weight)
    rows = Dataset.from_dict({"input_ids": asked})
    trl_args = trl_ppo.PPOConfig(
        folder,
        total_episodes=steps * size,
        response_length=LENGTH,
        stop_token="eos",  # noqa: S106
        num_sample_generations=0,
        **settings,
    )
    models = {"model": model(), "ref_model": None, "reward_model": RewardModel(), "value_model": value}
    other = trl_ppo.PPOTrainer(args=trl_args, processing_class=words, train_dataset=rows, eval_dataset=rows, **models)
    other.train()
    triples = zip(mine.model.policy.parameters(), other.model.policy.parameters(), model().parameters(), strict=True)
    found = [((one - two).abs().max().item(), (one - first).abs().max().item()) for one, two, first in triples]
    return max(difference for difference, _ in found) / max(moved for _, moved in found)


def curves(train: Callable[[int, int, str], list[float]], seeds: int, steps: int) -> tuple[list[list[float]], float]:
    """The rewards of each seed, and the seconds that a training took."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = [train(seed, steps, folder) for seed in range(seeds)]
    return found, (time.perf_counter() - began) / seeds


def main() -> None:
    """Print the mean reward over the seeds, ten iterations a line, and its standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if find_spec("trl.experimental.ppo"):
        with tempfile.TemporaryDirectory() as folder:
            print(f"on the same completions the weights differ by {same_completions(folder):.1e} of what they moved\n")
    trainers = {"polar": ours, **({"trl": theirs} if find_spec("trl.experimental.ppo") else {})}
    found = {name: curves(train, asked.seeds, asked.steps) for name, train in trainers.items()}
    print("| iterations |" + "".join(f" {name} |" for name in found) + "\n|---|" + "---|" * len(found))
    for start in range(0, asked.steps, 10):
        means = {name: [statistics.fmean(curve[start : start + 10]) for curve in seeds] for name, (seeds, _) in found.items()}
        cells = [f" {statistics.fmean(seeds):.3f} ± {statistics.pstdev(seeds):.3f} |" for seeds in means.values()]
        print(f"| {start + 1} to {min(start + 10, asked.steps)} |" + "".join(cells))
    print("| seconds a training |" + "".join(f" {seconds:.1f} |" for _, seconds in found.values()))


if __name__ == "__main__":
    main()
