"""What a reward model says: a sequence classifier with one output, such as the method `reward` trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polar_tools import conversations
from polar_tools.errors import ConfigError, UserError
from polar_tools.fields import ModelRef
from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Options(base.Options):
    """The model. Its scores have no bounds."""

    name: Literal["reward_model"] = "reward_model"
    model: ModelRef
    """A name from `models`, or an experiment of the method `reward`. It reads with its own tokenizer and chat template."""


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """The model, loaded once; raises ConfigError where it has more outputs than one."""
    from transformers import AutoTokenizer

    from polar_tools.inference import rewards

    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = _load(options.model).to(device).eval()

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        said = [conversations.exchange(tokenizer, attempt.prompt, attempt.completion) for attempt in attempts]
        numbers: list[float] = rewards(model, tokenizer, conversations.whole(tokenizer, said))
        return numbers

    return score


def _load(path: str) -> PreTrainedModel:
    """The model in a folder; an adapter is merged into its base."""
    from transformers import AutoModelForSequenceClassification

    adapter = Path(path) / "adapter_config.json"
    if adapter.is_file():
        from peft import PeftModel

        found = json.loads(adapter.read_bytes())["base_model_name_or_path"]
        model = AutoModelForSequenceClassification.from_pretrained(found, num_labels=1, dtype="float32", local_files_only=True)
        return PeftModel.from_pretrained(model, path).merge_and_unload()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype="float32", local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"the reward model in {path} can't be loaded: {str(error).strip().splitlines()[0]}") from error
    if model.config.num_labels != 1:
        raise ConfigError(
            f"the reward model in {path} has {model.config.num_labels} outputs, and a reward is one number; "
            "name a model that the method `reward` trained, or another with `num_labels: 1`"
        )
    return model
