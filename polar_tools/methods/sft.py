"""Supervised fine-tuning of a causal language model: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from polar_tools import labelling, marks, templates
from polar_tools.errors import ConfigError, RowError
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
    chat_template: Rendered[Annotated[str, AfterValidator(templates.chosen)]] = "tokenizer"
    """`tokenizer` (its own), `chatml`, `zephyr`, `none` (prompt and completion as they are), or jinja: the text itself, or `FILE.jinja`."""
    prompt_template: Rendered[Annotated[str, AfterValidator(templates.well_formed)] | None] = None
    """Makes each row's `prompt`: text with columns in it, such as `question: {question} answer:`."""
    add_eos_token: Rendered[bool] = True
    """Whether the end-of-text token follows a text, and a completion under `chat_template: none`."""

    packing: bool = False
    """Train on several rows behind each other, up to `max_length`, rather than on a padded row each: fewer and fuller steps."""
    packing_strategy: Literal["bfd", "wrapped"] = "bfd"
    """`bfd` puts whole rows together as they fit, and none sees another, so that the loss of a row is what it is alone.

    `wrapped` cuts rows wherever `max_length` is reached, so that each step is full, and attention goes across them, as in pre-training.
    """
    loss_type: Literal["nll", "dft"] = "nll"
    """Cross-entropy, or dynamic fine-tuning (Wu et al. 2025), which weighs each token's by its probability."""

    @model_validator(mode="after")
    def _nothing_is_unread(self) -> Config:
        self._needs(["system_prompt"], self.chat_template != "none", "a chat template")
        self._needs(["packing_strategy"], self.packing, "`packing: true`")
        if self.packing and self.max_length is None:
            raise ValueError("packing needs `max_length`: rows are put together up to it")
        return self

    def makes(self) -> tuple[str, ...]:
        """The prompt, where a template makes it."""
        return ("prompt",) if self.prompt_template else ()


COLUMNS = (("messages",), ("prompt", "completion"), ("text",))
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "loss")
CHECKS = ("packing", "accumulation", "save_load", "same_ids", "mask")
TRAINS_ON = "tokens"
features = base.features


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer with the chosen chat template, and with what ends its turns as the end-of-text token."""
    marks.set_template(config.chat_template, processor, config.system_prompt)
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row, and labels that are trained on: the assistant's turns, the completion, or the whole text."""
    _refuse_unread(config, processor, rows[0])
    columns = _columns(config, rows[0])
    base.refuse_missing(rows, columns)
    ends = [processor.eos_token_id] if config.add_eos_token else []
    if columns == ["text"]:
        return labelling.plain(processor, [row["text"] for row in rows], ends)
    marks.refuse_special(processor, (_contents(row, [*columns, "tools"]) for row in rows))
    if config.prompt_template:
        made = templates.prompts(config.prompt_template, rows)
        rows = [{**row, "prompt": prompt} for row, prompt in zip(rows, made, strict=True)]
    if not _has_turns(config, rows[0]):
        return labelling.continued(processor, [(row["prompt"], row["completion"]) for row in rows], ends)
    return labelling.dialogues(processor, [_dialogue(config, row, place) for place, row in enumerate(rows)])


def _columns(config: Config, row: base.Row) -> list[str]:
    """The columns that make the text of a row."""
    if config.prompt_template:
        return [*templates.columns(config.prompt_template), "completion"]
    return next(list(columns) for columns in COLUMNS if set(columns) <= set(row))


def _has_turns(config: Config, row: base.Row) -> bool:
    """Whether a chat template writes the row."""
    columns = _columns(config, row)
    return columns == ["messages"] or (columns != ["text"] and config.chat_template != "none")


def _refuse_unread(config: Config, tokenizer: PreTrainedTokenizerBase, row: base.Row) -> None:
    """Raise ConfigError for a choice that these rows would leave without effect, or that doesn't go with them."""
    turns, has_turns = isinstance(row.get("messages", row.get("prompt")), list), _has_turns(config, row)
    problems = {
        "prompt_template would be ignored: the rows have no `completion`": config.prompt_template and "completion" not in row,
        "system_prompt would be ignored: the rows are plain text and have no turns": config.system_prompt and not has_turns,
        "chat_template would be ignored: the rows are plain text and have no turns": not has_turns
        and config.chat_template not in ("tokenizer", "none"),
        "add_eos_token would be ignored: the chat template says how turns end": has_turns and not config.add_eos_token,
        "chat_template: none writes no turns, and the rows have messages; choose another, such as zephyr": turns
        and config.chat_template == "none",
        "this model's tokenizer has no chat template; set `chat_template` to chatml, zephyr, none or one of your own": has_turns
        and tokenizer.chat_template is None,
        "this model's tokenizer has no end-of-text token (eos_token); set `add_eos_token: false`": not has_turns
        and config.add_eos_token
        and tokenizer.eos_token_id is None,
    }
    for problem, there in problems.items():
        if there:
            raise ConfigError(problem)
    if config.prompt_template:
        templates.refuse_unknown(config.prompt_template, list(row))


def _dialogue(config: Config, row: base.Row, place: int) -> templates.Dialogue:
    """The turns of a row. An assistant's turns in a prompt are given, not trained on."""
    if config.prompt_template or "messages" not in row:
        given = _turns("user", row["prompt"])
        turns = [*given, *_turns("assistant", row["completion"])]
    else:
        given, turns = [], _turns("user", row["messages"])
    if not turns:
        raise RowError(place, "has no turns; the filter `missing` drops such rows")
    opening = {"role": "system", "content": config.system_prompt}
    system = [opening] if config.system_prompt and turns[0]["role"] not in ("system", "developer") else []
    return templates.Dialogue([*system, *turns], _tools(row, place), len(system) + len(given))


def _turns(role: str, said: Any) -> list[dict[str, Any]]:
    """Messages as they are, text as a message by `role`."""
    return [{"role": role, "content": said}] if isinstance(said, str) else templates.present(said)


def _tools(row: base.Row, place: int) -> list[Any] | None:
    """The tools that a row's turns may call: records, or JSON of them."""
    tools = row.get("tools")
    try:
        return templates.present(json.loads(tools) if isinstance(tools, str) else tools) or None
    except ValueError as error:
        raise RowError(place, f"its `tools` are no JSON: {error}") from error


def _contents(row: base.Row, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(column, text) of all that a row says."""
    return ((name, text) for name in columns for text in _strings(row.get(name)))


def _strings(value: Any) -> Iterator[str]:
    """Every text in `value`, at any depth, but for who speaks."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for key, item in value.items() if key != "role" for text in _strings(item))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in _strings(item))


fit = base.fit


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be. A row that was cut may lack what was cut off."""
    found, has_turns = marks.marks(processor), _has_turns(config, row)
    marks.check(
        found,
        example,
        end=marks.end_of_turn(processor) if has_turns else found.eos if config.add_eos_token else None,
        beginnings=_exchanges(row),
        prompted=has_turns or _columns(config, row) != ["text"],
        cut=config.on_too_long if len(example["input_ids"]) == config.max_length else None,
    )


def _exchanges(row: base.Row) -> int:
    """How often a user speaks: some templates begin anew each time."""
    turns = row.get("messages", row.get("prompt"))
    return max(1, sum(turn["role"] == "user" for turn in turns)) if isinstance(turns, list) else 1


wrap = base.wrap


def build_trainer(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """trl's SFTTrainer on rows that are already tokens, packed if `config` says so."""
    from trl import SFTConfig

    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    args = base.arguments(SFTConfig, config, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **run)
    return AnswerLossTrainer(
        model=model,
        args=args,
        train_dataset=_packed(config, train, run["seed"]),
        eval_dataset=evaluation,
        processing_class=processor,
        callbacks=callbacks,
    )


def _packed(config: Config, rows: Dataset, seed: int) -> Dataset:
    """`rows` behind each other, shuffled before, for those that stay together do so in every epoch."""
    from trl import pack_dataset

    if not config.packing or config.max_length is None:
        return rows
    columns = rows.select_columns(["input_ids", "labels"]).shuffle(seed, keep_in_memory=True).flatten_indices(keep_in_memory=True)
    return pack_dataset(columns, config.max_length, config.packing_strategy, {"batch_size": None, "keep_in_memory": True})


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
    has_turns = _has_turns(config, rows[0])
    stop = {"eos_token_id": marks.end_of_turn(processor) if has_turns else processor.eos_token_id}
    plain = _columns(config, rows[0]) == ["text"]
    written = [None] * len(rows) if plain else generate(model, processor, prompts, {**generation, **stop})
    return [
        Prediction(*_asked_and_answered(config, row), text, loss, tokens)
        for row, text, (loss, tokens) in zip(rows, written, losses, strict=True)
    ]


def _last_turn(labels: list[int]) -> int:
    """Where the last run of trained labels begins."""
    trained = [place for place, label in enumerate(labels) if label != base.IGNORED]
    return next((place for place in reversed(trained) if place == 0 or labels[place - 1] == base.IGNORED), len(labels))


def _asked_and_answered(config: Config, row: base.Row) -> tuple[str, str]:
    """What stands before the last answer, and that answer, for people and metrics."""
    if _columns(config, row) == ["text"]:
        return "", str(row["text"])
    if config.prompt_template:
        row = {**row, "prompt": templates.prompts(config.prompt_template, [row])[0]}
    turns = _dialogue(config.model_copy(update={"system_prompt": None}), row, 0).turns
    last = max((number for number, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns) - 1)
    before = turns[last - 1] if last else {}
    return str(before.get("content", "")), str(turns[last].get("content", ""))
