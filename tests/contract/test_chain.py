"""From examples to preferences to rewards in one config: sft -> reward -> ppo, each on what the one before made."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from polar_tools import config as configs
from polar_tools.plan import Plan
from tests import learning
from tests.cases import dpo

CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    split: {test_size: 8, seed: 0}
  pairs:
    source: file://assets/pairs.jsonl
    split: {test_size: 8, seed: 0}
evaluations:
  sayings: {dataset: sayings, generation: {max_new_tokens: 4}}
  pairs: {dataset: pairs}
experiments:
  say: {method: sft, model: llama, dataset: sayings, use_peft: true, lora_r: 4, COMMON}
  judge: {method: reward, model: say, dataset: pairs, evaluations: [pairs], use_peft: true, lora_r: 4, COMMON}
  improve:
    method: ppo
    model: say
    dataset: sayings
    evaluations: [sayings]
    rewards:
      - {name: reward_model, model: judge}
      - {name: length, target: 4, weight: 0.5}
    use_peft: true
    lora_r: 4
    max_completion_length: 4
    COMMON
""".replace(
    "    COMMON\n",
    "    max_steps: 2\n    per_device_train_batch_size: 4\n    learning_rate: 1.0e-2\n    logging_steps: 1\n    threads: 1\n",
).replace("COMMON", "max_steps: 4, per_device_train_batch_size: 4, learning_rate: 1.0e-2, threads: 1")


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


@pytest.mark.slow
def test_policy_learns_from_the_reward_model_of_the_same_config(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dpo.make(tmp_path, assets)
    plan = learning.run_plan(tmp_path, CONFIG, monkeypatch)
    spec = read(tmp_path / "results/improve/seed0/train/spec.json")["experiment"]
    assert spec["model"] == "results/say/seed0/train/model"
    assert spec["rewards"][0]["model"] == "results/judge/seed0/train/model"
    assert set(plan.states(tmp_path).values()) == {"done"}

    before, after = (learning.report(tmp_path, run, "sayings", "improve")["metrics"] for run in ("base", "seed0"))
    assert {"reward", "reward_reward_model", "reward_length", "mean_words", "empty", "repeated_4grams"} <= set(before) == set(after)
    assert before["reward"] == pytest.approx(before["reward_reward_model"] + 0.5 * before["reward_length"])
    steps = [json.loads(line) for line in (tmp_path / "results/improve/seed0/train/metrics.jsonl").read_text().splitlines()]
    assert {"objective/kl", "objective/scores", "rewards/reward_model/mean", "rewards/length/mean", "val/ratio"} <= set(steps[0])

    # Another judge is another reward: what was made with it is made again, and nothing else.
    changed = Plan(
        configs.parse(
            configs.read(
                _write(
                    tmp_path / "changed.yaml",
                    CONFIG.replace("dataset: pairs, evaluations", "dataset: pairs, seeds: [0], weight_decay: 0.1, evaluations"),
                )
            )
        )
    )
    changed.settle(tmp_path)
    states = changed.states(tmp_path)
    assert states["results/improve/seed0/train"] == states["results/judge/seed0/train"] == "to make"
    assert states["results/say/seed0/train"] == states["results/judge/tokenize"] == "done"


def test_circle_of_policies_and_rewards_is_refused() -> None:
    text = CONFIG.replace("method: reward, model: say", "method: reward, model: improve")
    with pytest.raises(configs.ConfigError, match="starts from itself: improve -> judge -> improve"):
        configs.parse(yaml.safe_load(text))


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
