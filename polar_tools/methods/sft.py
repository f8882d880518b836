"""Supervised fine-tuning of a causal language model: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Rendered
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("instruct",)


class Config(base.Config):
    """Fields of `sft`."""

    method: Literal["sft"] = "sft"
    system_prompt: Rendered[str | None] = None
    """First turn of every dialogue that has none of its own."""
    chat_template: Rendered[Literal["tokenizer", "none"]] = "tokenizer"
    """The tokenizer's own template, or none: prompt, completion and end-of-text as they are."""

    @model_validator(mode="after")
    def _template_has_turns(self) -> Config:
        self._needs(["system_prompt"], self.chat_template != "none", "a chat template")
        return self


COLUMNS = (("messages",), ("prompt", "completion"), ("text",))
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "loss")
features = base.features


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row, and labels that are trained on: the assistant's turns, the completion, or the whole text."""
    if config.chat_template == "tokenizer" and processor.chat_template is None and "text" not in rows[0]:
        raise ConfigError("this model's tokenizer has no chat template; set `chat_template: none`, or use a model that has one")
    if config.system_prompt and not {"messages", "prompt"} & set(rows[0]):
        raise ConfigError("system_prompt would be ignored: the rows are plain text and have no turns")
    return [_render_row(config, processor, row) for row in rows]


def _render_row(config: Config, tokenizer: PreTrainedTokenizerBase, row: base.Row) -> base.Example:
    if "messages" in row or ("prompt" in row and config.chat_template == "tokenizer"):
        return _render_dialogue(tokenizer, _dialogue(config, row))
    prompt = tokenizer(row["prompt"]).input_ids if "prompt" in row else []
    text = tokenizer(row["completion"] if "prompt" in row else row["text"], add_special_tokens=not prompt).input_ids
    text = [*text, tokenizer.eos_token_id]
    return {"input_ids": prompt + text, "labels": [base.IGNORED] * len(prompt) + text}


def _dialogue(config: Config, row: base.Row) -> list[dict[str, str]]:
    if "messages" in row:
        turns = list(row["messages"])
    else:
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
    if config.system_prompt and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": config.system_prompt})
    return turns


def _render_dialogue(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]]) -> base.Example:
    def ids(upto: int, **options: Any) -> list[int]:
        return list(tokenizer.apply_chat_template(turns[:upto], tokenize=True, return_dict=False, **options))

    whole = ids(len(turns))
    labels = [base.IGNORED] * len(whole)
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant":
            before, through = ids(number, add_generation_prompt=True), ids(number + 1)
            if whole[: len(before)] != before or whole[: len(through)] != through:
                raise DataError("the chat template changes earlier turns when later ones follow, so what is trained on can't be told apart")
            end = _end_of_turn(through, len(before), tokenizer.eos_token_id)
            labels[len(before) : end] = whole[len(before) : end]
    return {"input_ids": whole, "labels": labels}


def _end_of_turn(ids: list[int], start: int, eos: int | None) -> int:
    """Behind the turn's last end-of-text token: templates add a line break that nobody generates."""
    ends = [place for place in range(start, len(ids)) if ids[place] == eos]
    return ends[-1] + 1 if ends else len(ids)


fit = base.fit


def build_trainer(
    config: Config, model: PreTrainedModel, processor: PreTrainedTokenizerBase, dataset: Dataset, callbacks: list[Any], **run: Any
) -> Trainer:
    """trl's SFTTrainer on rows that are already tokens."""
    from trl import SFTConfig

    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    args = base.arguments(SFTConfig, config, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **run)
    return AnswerLossTrainer(model=model, args=args, train_dataset=dataset, processing_class=processor, callbacks=callbacks)


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each row's prompt, and the loss of the reference there."""
    from polar_tools.inference import generate, reference_losses

    examples = render(config, processor, features, rows)
    prompts = [example["input_ids"][: _last_turn(example["labels"])] for example in examples]
    losses = reference_losses(model, examples)
    written = generate(model, processor, prompts, generation) if "text" not in rows[0] else [None] * len(rows)
    return [
        Prediction(_question(row), _answer(row), text, loss, tokens)
        for row, text, (loss, tokens) in zip(rows, written, losses, strict=True)
    ]


def _last_turn(labels: list[int]) -> int:
    """Where the last run of trained labels begins."""
    trained = [place for place, label in enumerate(labels) if label != base.IGNORED]
    return next((place for place in reversed(trained) if place == 0 or labels[place - 1] == base.IGNORED), len(labels))


def _question(row: base.Row) -> str:
    return str(row["messages"][-2]["content"]) if "messages" in row else str(row.get("prompt", ""))


def _answer(row: base.Row) -> str:
    return str(row["messages"][-1]["content"]) if "messages" in row else str(row.get("completion", row.get("text", "")))
