"""What a reward model says: a sequence classifier with one output, such as the method `reward` trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from polar_tools.errors import ConfigError, UserError
from polar_tools.fields import ModelRef
from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Options(base.Options):
    """The model. Its scores have no bounds."""

    name: Literal["reward_model"] = "reward_model"
    model: ModelRef
    """A name from `models`, or an experiment of the method `reward`. It reads with its own tokenizer and chat template."""
    batch_size: PositiveInt = 8
    """Completions that it reads at a time."""


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """The model, loaded once; raises ConfigError where it has more outputs than one."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = _load(options.model).to(device).eval()
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        ids = [tokenizer.encode(_text(tokenizer, attempt), add_special_tokens=isinstance(attempt.prompt, str)) for attempt in attempts]
        return [
            number
            for start in range(0, len(ids), options.batch_size)
            for number in _scores(model, ids[start : start + options.batch_size], model.config.pad_token_id)
        ]

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


def _text(tokenizer: PreTrainedTokenizerBase, attempt: base.Attempt) -> str:
    """The prompt and its completion as the reward model's tokenizer writes them."""
    if isinstance(attempt.prompt, str):
        return attempt.prompt + attempt.completion + (tokenizer.eos_token or "")
    if tokenizer.chat_template is None:
        raise ConfigError("the reward model's tokenizer has no chat template, and the prompts have turns; use a reward model that has one")
    turns: list[Any] = [*attempt.prompt, {"role": "assistant", "content": attempt.completion}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def _scores(model: PreTrainedModel, ids: Sequence[list[int]], pad: int) -> list[float]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    batch = pad_sequence([torch.tensor(row) for row in ids], batch_first=True, padding_value=pad).to(model.device)
    mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in ids], batch_first=True).to(model.device)
    with torch.inference_mode():
        return [float(number) for number in model(input_ids=batch, attention_mask=mask).logits[:, 0].float()]
