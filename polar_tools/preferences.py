"""Rows with two answers, one of them preferred -> token ids of both, and what a model thinks of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt

from polar_tools import conversations, marks, modeling, pictures, templates
from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.fields import Frozen, ModelRef, Rendered
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

    from polar_tools.inference import Loss

ANSWERS = ("chosen", "rejected")
COLUMNS = (("prompt", *ANSWERS), ANSWERS)
WITH_PICTURES = (("prompt", *ANSWERS, "images"), (*ANSWERS, "images"))


class Lengths(Frozen):
    """Fields of methods that limit prompts and answers each on their own."""

    max_prompt_length: Rendered[PositiveInt | None] = None
    """Longest prompt in tokens: of a longer one the beginning is cut off, and the answer stays whole."""
    max_completion_length: Rendered[PositiveInt | None] = None
    """Longest answer in tokens: of a longer one the end is cut off."""


class Referenced(Frozen):
    """Fields of methods that hold a model close to a reference."""

    beta: PositiveFloat = 0.1
    """How much a distance from the reference model costs."""
    ref_model: ModelRef | None = None
    """The reference: a name from `models`, or another experiment. Without one it is the model that the training starts from: with
    `use_peft` the trained model with its adapter turned off, otherwise a frozen copy."""
    precompute_ref_log_probs: bool = False
    """Ask the reference once, before the training, so that it needs no memory while training."""
    sync_ref_model: bool = False
    """Let the reference follow the trained model (TR-DPO, Gorbatovski et al. 2024)."""
    ref_model_mixup_alpha: Annotated[PositiveFloat, Field(le=1)] = 0.6
    """How much of the trained model goes into the reference each time."""
    ref_model_sync_steps: PositiveInt = 512
    """Steps from one time to the next."""
    disable_dropout: bool = True
    """No dropout in the trained model and the reference."""


def refuse_unsynced(config: Any) -> None:
    """Raise ValueError for a reference that can't follow the trained model."""
    others = {"use_peft": "a reference of its own", "precompute_ref_log_probs": "a reference that is asked while training"}
    for name, need in others.items():
        if config.sync_ref_model and getattr(config, name):
            raise ValueError(f"sync_ref_model needs {need}; set `{name}: false`")


def reference(config: Any, model: Any) -> Any:
    """What the trainers of trainers/preference.py take as the reference for `model`, which is not trained yet."""
    from copy import deepcopy

    from peft import PeftModel

    from polar_tools.trainers.preference import ADAPTER_OFF

    if config.ref_model is None and isinstance(model, PeftModel):
        return ADAPTER_OFF
    if config.ref_model is None and config.precompute_ref_log_probs:
        return None
    if config.ref_model is None and config.zero.get("stage") != 3:
        return deepcopy(model).requires_grad_(False)
    with modeling.divided(config):  # of which there can be no copy
        return modeling.pretrained(config.ref_model or config.model, "AutoModelForCausalLM", config, {}).requires_grad_(False)


def render(config: Any, processor: Any, features: dict[str, Any], rows: Sequence[conversations.Row]) -> list[marks.Example]:
    """`chosen_` and `rejected_` ids and labels of each row, both behind the same prompt; only what is answered is trained on.

    Both see the pictures of the row, where there are such.
    """
    tokenizer = modeling.tokenizer_of(processor)
    _refuse_special_answers(tokenizer, rows)
    config, rows = _prompted(config, rows)
    both = [conversations.render(config, processor, rows, answer) for answer in ANSWERS]
    return with_opening(config, tokenizer, _different(_pairs(*both)))


def _pairs(chosen: Sequence[marks.Example], rejected: Sequence[marks.Example]) -> list[marks.Example]:
    """Both answers of a row as one example."""
    return [
        {f"{answer}_{name}": value for answer, one in zip(ANSWERS, pair, strict=True) for name, value in one.items()}
        for pair in zip(chosen, rejected, strict=True)
    ]


def encoded(
    config: Any,
    processor: "ProcessorMixin",
    fit: Callable[[Any, marks.Example], marks.Example | None],
    rows: Sequence[conversations.Row],
) -> pictures.Batch:
    """What a model is given of the chosen answers to `rows` with their pictures, and below them of the rejected ones; the same as examples.

    These are as `fit` leaves them. It drops none: a row that it would drop is not among those that are trained on.
    """
    config, rows = _prompted(config, rows)
    both = [one for answer in ANSWERS for one in conversations.illustrated(config, processor, rows, answer)]
    inputs, examples = pictures.batch(processor, both)
    fitted = [fit(config, pair) for pair in _pairs(examples[: len(rows)], examples[len(rows) :])]
    kept = [{name: pair[f"{answer}_{name}"] for name in examples[0]} for answer in ANSWERS for pair in fitted if pair is not None]
    return pictures.Batch(inputs, kept)


def _different(examples: list[marks.Example]) -> list[marks.Example]:
    for place, example in enumerate(examples):
        if alike(example):
            raise RowError(place, ALIKE)
    return examples


ALIKE = "its `chosen` and `rejected` are the same, so that neither is preferred; take such rows out of the data"


def alike(example: marks.Example) -> bool:
    """Whether both answers are the same tokens."""
    chosen, rejected = (example[f"{answer}_input_ids"] for answer in ANSWERS)
    return chosen == rejected


def _refuse_special_answers(tokenizer: "PreTrainedTokenizerBase", rows: Sequence[conversations.Row]) -> None:
    """Before prompts are told from answers, so that a message names the column that people know."""
    conversations.refuse_missing(rows, [name for name in ANSWERS if name in rows[0]])
    marks.refuse_special(tokenizer, (conversations.contents(row, ANSWERS) for row in rows))


def _prompted(config: Any, rows: Sequence[conversations.Row]) -> tuple[Any, list[conversations.Row]]:
    """`rows` with their prompt in a column of its own, and the config that writes them."""
    if config.prompt_template:
        return config, [*rows]
    if _plain(config, rows[0]):
        for name, default in (("system_prompt", None), ("chat_template", "tokenizer")):
            if getattr(config, name) not in (default, "none"):
                raise ConfigError(f"{name} would be ignored: the rows are plain text and have no turns; give them a `prompt`")
        return config.model_copy(update={"chat_template": "none"}), [_told_apart(row) for row in rows]
    return config, [with_prompt(row, place) for place, row in enumerate(rows)]


def _plain(config: Any, row: conversations.Row) -> bool:
    """Whether the answers are texts that hold their prompt."""
    return not config.prompt_template and "prompt" not in row and isinstance(row["chosen"], str)


def _told_apart(row: conversations.Row) -> conversations.Row:
    """Two texts that begin alike: up to the last blank that both have there it is the prompt."""
    same = _shared(row["chosen"], row["rejected"])
    word = sum(1 for _ in takewhile(lambda char: not char.isspace(), reversed(same)))
    prompt = "".join(same[: len(same) - word]).rstrip()
    return {**row, "prompt": prompt, **{answer: row[answer][len(prompt) :] for answer in ANSWERS}}


def with_prompt(row: conversations.Row, place: int) -> conversations.Row:
    """A row whose answers may begin with their prompt, as messages, with the prompt in its own column only.

    Raises RowError where the answers are answers to different prompts, or one of them is none.
    """
    if not isinstance(row["chosen"], list):
        return row
    said = {answer: conversations.turns_of("assistant", row[answer]) for answer in ANSWERS}
    if said["chosen"] == said["rejected"]:
        raise RowError(place, ALIKE)
    told = "prompt" in row
    given = conversations.turns_of("user", row["prompt"]) if told else _shared(*said.values())
    rest = {answer: turns[len(given) :] if turns[: len(given)] == given else turns for answer, turns in said.items()}
    for answer, turns in rest.items():
        if told and len(turns) == len(said[answer]) and _asks(turns):
            raise RowError(
                place, f"its `{answer}` begins with other turns than its `prompt`; where both hold whole dialogues, leave `prompt` out"
            )
        if not turns or _asks(turns):
            raise RowError(place, f"its `chosen` and `rejected` don't answer the same prompt: look at turn {len(given) + 1} of `{answer}`")
    return {**row, "prompt": given, **rest}


def _shared(chosen: Sequence[Any], rejected: Sequence[Any]) -> list[Any]:
    """The turns, or characters, that both begin with."""
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))]


def _asks(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether somebody else than the assistant speaks first."""
    return bool(turns) and turns[0]["role"] != "assistant"


def collator(config: Any, processor: Any, fit: Callable[[Any, marks.Example], marks.Example | None]) -> Any:
    """What makes batches for trainers/preference.py: of rendered pairs, or, with pictures, of rows."""
    from polar_tools.trainers.multimodal import PairCollator
    from polar_tools.trainers.preference import Pairs

    return PairCollator(partial(encoded, config, processor, fit)) if pictures.shown_by(processor) else Pairs(processor.pad_token_id)


def check(config: Any, processor: Any, row: conversations.Row, example: marks.Example) -> None:
    """Raise DataError for an example of `render` with BOS, end or mask as none should be, or with answers that a cut made the same."""
    if alike(example):
        raise DataError("its `chosen` and `rejected` are the same after the cut; is max_length too short for its answers?")
    config, [row] = _prompted(config, [row])
    for one in marks.sequences(example):
        tokens = {"input_ids": one.ids, "labels": one.labels or [], "pictures": example.get(f"{one.prefix}pictures", [])}
        conversations.check(config, processor, row, tokens, cut_of(config, tokens), one.prefix.removesuffix("_"))


def with_opening(config: Lengths, tokenizer: "PreTrainedTokenizerBase", examples: list[marks.Example]) -> list[marks.Example]:
    """`examples` as `limited` wants them: it is to leave alone what the tokenizer begins texts with."""
    size = len(marks.marks(tokenizer).opening)
    return [{**example, marks.OPENING: [size]} for example in examples] if config.max_prompt_length else examples


def limited(config: Lengths, example: marks.Example) -> marks.Example:
    """`example` with prompts and answers within their own limits: a prompt loses its beginning, an answer its end."""
    size = example.get(marks.OPENING, [0])[0]
    limited = {name: value for name, value in example.items() if name != marks.OPENING}
    for one in marks.sequences(limited):
        if one.labels is not None:
            places = _places(config, one.labels, size)
            limited[f"{one.prefix}input_ids"] = [one.ids[place] for place in places]
            limited[f"{one.prefix}labels"] = [one.labels[place] for place in places]
    return limited


def _places(config: Lengths, labels: list[int], opening: int) -> list[int]:
    """The places that stay."""
    places, start = list(range(len(labels))), answer_at(labels)
    prompt, answer = places[:start], places[start:]
    if config.max_prompt_length is not None and len(prompt) > config.max_prompt_length:
        prompt = prompt[:opening] + prompt[len(prompt) - max(0, config.max_prompt_length - opening) :]
    return prompt + answer[: config.max_completion_length]


def answer_at(labels: Sequence[int]) -> int:
    """Where the first token that is trained on stands."""
    return next((place for place, label in enumerate(labels) if label != marks.IGNORED), len(labels))


def cut_of(config: Any, example: marks.Example) -> str | None:
    """The side on which an example may have been cut. A prompt's own limit leaves the beginning of the text."""
    if len(example["input_ids"]) == config.max_length:
        return str(config.on_too_long)
    answer = len(example["labels"]) - answer_at(example["labels"])
    return "cut_right" if answer == config.max_completion_length else None


def whole(config: Any, tokenizer: "PreTrainedTokenizerBase", rows: Sequence[conversations.Row]) -> list[marks.Example]:
    """`chosen_` and `rejected_` ids of each row, prompt and answer together and without a mask, for what judges answers."""
    _refuse_special_answers(tokenizer, rows)
    plain = _plain(config, rows[0])
    _, told = _prompted(config, rows)
    if config.prompt_template:
        prompts = templates.prompts(config.prompt_template, told)
        told = [{**row, "prompt": prompt} for row, prompt in zip(told, prompts, strict=True)]
    conversations.refuse_missing(told, ["prompt"])
    marks.refuse_special(tokenizer, (conversations.contents(row, ["prompt", "tools"]) for row in told))
    both = [
        conversations.whole(
            tokenizer, [row[answer] if plain else _said(config, tokenizer, told[place], place, answer) for place, row in enumerate(rows)]
        )
        for answer in ANSWERS
    ]
    examples = [{"chosen_input_ids": chosen, "rejected_input_ids": rejected} for chosen, rejected in zip(*both, strict=True)]
    return _different(examples)


def _said(config: Any, tokenizer: "PreTrainedTokenizerBase", row: conversations.Row, place: int, answer: str) -> templates.Dialogue | str:
    prompt = conversations.opened(config, conversations.turns_of("user", row["prompt"])) if config.system_prompt else row["prompt"]
    return conversations.exchange(tokenizer, prompt, row[answer], conversations.tools_of(row, place))


def predict(
    config: Any,
    model: "PreTrainedModel",
    processor: Any,
    features: dict[str, Any],
    rows: Sequence[conversations.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """How probable the model holds both answers of each row: the summed log-probabilities of their tokens, in nats.

    What it predicts is the answer that it holds more probable.
    """
    chosen, rejected = _losses(config, model, processor, features, rows)
    predictions = []
    for (asked, better, worse), (loss, tokens, _), (other_loss, other_tokens, _) in zip(
        _shown(config, rows), chosen, rejected, strict=True
    ):
        figures = {"chosen_logp": -loss, "rejected_logp": -other_loss, "chosen_tokens": tokens, "rejected_tokens": other_tokens}
        predictions.append(Prediction(asked, better, better if loss < other_loss else worse, loss, tokens, figures))
    return predictions


def _losses(
    config: Any, model: "PreTrainedModel", processor: Any, features: dict[str, Any], rows: Sequence[conversations.Row]
) -> list[list["Loss"]]:
    """Summed cross-entropy in nats and number of tokens of all chosen answers, and of all rejected ones."""
    from polar_tools.inference import reference_losses

    if pictures.shown_by(processor):
        _refuse_special_answers(processor.tokenizer, rows)
        bare, told = _prompted(config, rows)
        return [pictures.losses(model, processor, conversations.illustrated(bare, processor, told, answer)) for answer in ANSWERS]
    examples = render(config, processor, features, rows)
    return [
        reference_losses(model, [{name: example[f"{answer}_{name}"] for name in ("input_ids", "labels")} for example in examples])
        for answer in ANSWERS
    ]


def judged(
    config: Any,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[conversations.Row],
    examples: Sequence[marks.Example],
) -> list[Prediction]:
    """The rewards of both answers of each row; the loss is minus the log-probability that the chosen one is better."""
    from math import exp, log1p

    from polar_tools.inference import rewards

    chosen, rejected = (rewards(model, tokenizer, [example[f"{answer}_input_ids"] for example in examples]) for answer in ANSWERS)
    predictions = []
    for (asked, better, worse), high, low in zip(_shown(config, rows), chosen, rejected, strict=True):
        ahead = high - low
        loss = log1p(exp(-ahead)) if ahead > 0 else log1p(exp(ahead)) - ahead
        predictions.append(Prediction(asked, better, better if ahead > 0 else worse, loss, 1, {"chosen": high, "rejected": low}))
    return predictions


def _shown(config: Any, rows: Sequence[conversations.Row]) -> Iterator[tuple[str, str, str]]:
    """Prompt, chosen and rejected answer of each row, for people."""
    config, told = _prompted(config, rows)
    for row in told:
        asked, better = conversations.asked_and_answered(config, row, "chosen")
        yield asked, better, conversations.asked_and_answered(config, row, "rejected")[1]
