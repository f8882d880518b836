"""What a reward model says: a sequence classifier with one output, such as the method `reward` trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polar_tools import conversations
from polar_tools.errors import ConfigError, UserError, first_line
from polar_tools.fields import ModelRef
from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Options(base.Options):
    """The model. Its scores have no bounds."""

    name: Literal["reward_model"] = "reward_model"
    model: ModelRef
    """A name from `models`, or an experiment of the method `reward`. It reads with its own tokenizer and chat template, the system's turn
    too; without a template it reads what the user says, and the completion behind it."""


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """The model, loaded once; raises ConfigError where it has more outputs than one."""
    from transformers import AutoTokenizer

    from polar_tools.inference import rewards

    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = _load(options.model).to(device).eval()

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        said = [conversations.exchange(tokenizer, _asked(tokenizer, attempt.prompt), attempt.completion) for attempt in attempts]
        numbers: list[float] = rewards(model, tokenizer, conversations.whole(tokenizer, said))
        return numbers

    return score


def _asked(tokenizer: PreTrainedTokenizerBase, prompt: str | Sequence[Mapping[str, Any]]) -> str | Sequence[Mapping[str, Any]]:
    """The prompt; where no template writes turns, what the one user says, which may have a system's turn before it."""
    said = [] if isinstance(prompt, str) else [turn["content"] for turn in prompt if turn["role"] != "system"]
    return str(said[0]) if tokenizer.chat_template is None and len(said) == 1 else prompt


def _load(path: str) -> PreTrainedModel:
    """The model in a folder; raises ConfigError where it has more outputs than one."""
    if (Path(path) / "adapter_config.json").is_file():
        return _with_adapter(path)
    model = _read(path)
    if model.config.num_labels != 1:
        raise ConfigError(
            f"the reward model in {path} has {model.config.num_labels} outputs, and a reward is one number; "
            "name a model that the method `reward` trained, or another with `num_labels: 1`"
        )
    return model


def _with_adapter(path: str) -> PreTrainedModel:
    """A base with an adapter merged into it, which brings the head; the base may be made in the same way."""
    from peft import PeftConfig, PeftModel

    adapter = PeftConfig.from_pretrained(path)
    below = str(adapter.base_model_name_or_path)
    base = _with_adapter(below) if (Path(below) / "adapter_config.json").is_file() else _read(below, num_labels=1)
    adapter.task_type = None  # that of a base may be a language model's
    return PeftModel.from_pretrained(base, path, config=adapter).merge_and_unload()


def _read(path: str, **options: int) -> PreTrainedModel:
    from transformers import AutoModelForSequenceClassification

    try:
        return AutoModelForSequenceClassification.from_pretrained(path, dtype="float32", local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"the reward model in {path} can't be loaded: {first_line(error)}") from error
