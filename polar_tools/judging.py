"""What grpo, rloo and ppo share: prompts as a model is given them, and what rewards say of what it writes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from polar_tools import conversations, labelling, marks, modeling, pictures, templates
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Rendered
from polar_tools.metrics.base import Prediction
from polar_tools.rewards import base as rewards
from polar_tools.rewards.base import Attempt, Reward, Scorer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

COLUMNS = (("prompt",),)
WITH_PICTURES = (("prompt", "images"),)
Fit = Callable[[Any, marks.Example], marks.Example | None]
"""base.fit."""


class Judged(conversations.Prompts):
    """Fields of every method that lets a model write and learns from rewards. `max_length` limits the prompts alone."""

    rewards: Rendered[Annotated[tuple[Reward, ...], Field(min_length=1)]]
    """What completions are judged by: names of files in polar_tools/rewards, with options. Rows may have further columns, such as
    `completion`, which rewards read."""
    max_completion_length: PositiveInt = 256
    """Longest completion in tokens, while training. An evaluation has its own, `generation.max_new_tokens`."""
    temperature: PositiveFloat = 1.0
    """Divides the logits before a token is drawn."""


class Grouped(Judged):
    """Fields of trl's GRPO and RLOO, which compare several completions of a prompt."""

    PER_BATCH: ClassVar[tuple[str, ...]] = ("gradient_accumulation_steps", "steps_per_generation")
    num_generations: Annotated[int, Field(ge=2)] = 8
    """Completions of each prompt. A batch (`per_device_train_batch_size` x `steps_per_generation`) holds those of whole groups."""
    steps_per_generation: PositiveInt | None = None
    """Batches of rows that are written at a time; without it as many as `gradient_accumulation_steps`."""
    num_iterations: PositiveInt = 1
    """How often a generation is learned from."""
    top_p: Annotated[PositiveFloat, Field(le=1)] = 1.0
    """Draw among the most probable tokens that together reach this probability."""
    top_k: NonNegativeInt = 0
    """Draw among this many most probable tokens; 0 draws among all."""
    repetition_penalty: PositiveFloat = 1.0
    """Above 1 tokens that were there already become less probable."""
    epsilon: PositiveFloat = 0.2
    """How far a token's probability may move away from that with which it was drawn before it no longer counts."""
    epsilon_high: PositiveFloat | None = None
    """The same upwards; as `epsilon` where it is not given. DAPO (Yu et al. 2025) takes 0.28."""
    mask_truncated_completions: bool = False
    """Learn nothing from completions that don't end within `max_completion_length`."""


def refuse_partial_groups(config: Any) -> None:
    """Raise ValueError for a Grouped config whose generations, or checkpoints, don't come out even."""
    given = config.steps_per_generation
    steps, rows = given or config.gradient_accumulation_steps, config.per_device_train_batch_size * config.world_size
    if rows * steps % config.num_generations:
        product = f"per_device_train_batch_size x {'processes x ' if config.world_size > 1 else ''}"
        raise ValueError(
            f"num_generations: {config.num_generations} completions of a prompt don't go evenly into the {rows * steps} that are "
            f"written at a time ({product}{'steps_per_generation' if given else 'gradient_accumulation_steps'}); make that a multiple of it"
        )
    if steps % config.gradient_accumulation_steps:
        raise ValueError(f"steps_per_generation: {steps} must be a multiple of gradient_accumulation_steps")
    cycle = steps // config.gradient_accumulation_steps * config.num_iterations
    if config.save_strategy == "steps" and config.save_steps % cycle:
        raise ValueError(
            f"save_steps: a checkpoint after {config.save_steps} steps would stand in the middle of the {cycle} that learn from one "
            f"generation, and no training could go on from it exactly; choose a multiple of {cycle}"
        )


def refuse_ignored(config: Any) -> None:
    """Raise ValueError for a Judged config with a choice that its trainer can't follow."""
    if config.on_too_long == "cut_right":
        raise ValueError("on_too_long: cut_right would cut off what makes the model answer; choose cut_left or drop")
    if config.train_sampling_strategy == "group_by_length":
        raise ValueError("train_sampling_strategy: group_by_length is of no use here, for completions have no length yet; choose another")


def refuse_too_few(config: Any, train: "Dataset") -> None:
    """Raise DataError where there are not enough prompts for one generation."""
    rows = config.per_device_train_batch_size * config.world_size * (config.steps_per_generation or config.gradient_accumulation_steps)
    if len(train) < rows // config.num_generations:
        raise DataError(
            f"there are {len(train)} prompts, and {rows // config.num_generations} are needed at a time "
            f"({rows} completions, {config.num_generations} of each); make the batch smaller, or num_generations larger"
        )


class Asked(NamedTuple):
    """A prompt: its ids, the same as turns or text, and its row. One with pictures is `shown`, and becomes ids when its turn comes."""

    ids: list[int]
    prompt: str | Sequence[templates.Turn]
    row: conversations.Row
    shown: pictures.Row | None = None


def render(config: Any, processor: Any, features: dict[str, Any], rows: Sequence[conversations.Row]) -> list[marks.Example]:
    """The ids of each row's prompt through what makes the model answer, with those of its pictures."""
    prompts = asked(config, processor, rows)
    if not pictures.shown_by(processor):
        return [{"input_ids": one.ids} for one in prompts]
    return [{name: example[name] for name in ("input_ids", "pictures")} for example in pictures.render(processor, _shown(prompts))]


def _shown(prompts: Sequence[Asked]) -> list[pictures.Row]:
    return [one.shown for one in prompts if one.shown is not None]


def asked(config: Judged, processor: Any, rows: Sequence[conversations.Row]) -> list[Asked]:
    """The prompts of `rows`; raises ConfigError or RowError for what can't be asked, and DataError for a column that a reward lacks."""
    tokenizer = modeling.tokenizer_of(processor)
    _refuse_unread(config, tokenizer, rows[0])
    rewards.check_columns(config.rewards, list(rows[0]))
    wanted = templates.columns(config.prompt_template) if config.prompt_template else ["prompt"]
    conversations.refuse_missing(rows, wanted)
    marks.refuse_special(tokenizer, (conversations.contents(row, [*wanted, "tools"]) for row in rows))
    prompts = templates.prompts(config.prompt_template, rows) if config.prompt_template else [row["prompt"] for row in rows]
    if config.chat_template == "none":
        texts = labelling.plain(tokenizer, prompts, [])
        return [Asked(example["input_ids"], prompt, row) for example, prompt, row in zip(texts, prompts, rows, strict=True)]
    dialogues = [_dialogue(config, prompt, row, place) for place, (prompt, row) in enumerate(zip(prompts, rows, strict=True))]
    if pictures.shown_by(processor):
        return _with_pictures(processor, dialogues, rows)
    ids = labelling.asked(tokenizer, dialogues)
    return [Asked(one, dialogue.turns, row) for one, dialogue, row in zip(ids, dialogues, rows, strict=True)]


def _with_pictures(processor: "ProcessorMixin", dialogues: Sequence[templates.Dialogue], rows: Sequence[conversations.Row]) -> list[Asked]:
    found = [pictures.of(row) for row in rows]
    texts = templates.asked(processor.tokenizer, pictures.placed(dialogues, found))
    shown = pictures.rows(processor, [templates.Text(text, []) for text in texts], found)
    return [Asked([], dialogue.turns, row, one) for dialogue, row, one in zip(dialogues, rows, shown, strict=True)]


def _dialogue(config: Judged, prompt: Any, row: conversations.Row, place: int) -> templates.Dialogue:
    bare = config.model_copy(update={"prompt_template": None})
    return conversations.dialogue(bare, {"prompt": prompt, "completion": [], "tools": row.get("tools")}, place)


def _refuse_unread(config: Judged, tokenizer: "PreTrainedTokenizerBase", row: conversations.Row) -> None:
    """Raise ConfigError for prompts that can't be written, or whose answers would have no end."""
    turns = config.chat_template != "none"
    if config.prompt_template:
        templates.refuse_unknown(config.prompt_template, list(row))
    elif not turns and isinstance(row["prompt"], list):
        raise ConfigError("chat_template: none writes no turns, and the prompts have messages; choose another, such as zephyr")
    if turns and tokenizer.chat_template is None:
        raise ConfigError("this model's tokenizer has no chat template; set `chat_template` to chatml, zephyr, none or one of your own")
    if not turns and tokenizer.eos_token_id is None:
        raise ConfigError("this model's tokenizer has no end-of-text token (eos_token), so nothing would end a completion")


def check(config: Any, processor: Any, row: conversations.Row, example: marks.Example) -> None:
    """Raise DataError for a prompt that is empty or doesn't begin as texts begin. What is as long as may be may have lost its beginning."""
    if not example["input_ids"]:
        raise DataError("its `prompt` is empty; the filter `missing` drops such rows")
    cut = len(example["input_ids"]) == config.max_length
    marks.check_beginning(marks.marks(modeling.tokenizer_of(processor)), example["input_ids"], conversations.exchanges(row), cut)


def stop(config: Judged, processor: Any) -> int:
    """The token that ends a completion."""
    tokenizer = modeling.tokenizer_of(processor)
    return marks.end_of_turn(tokenizer) if config.chat_template != "none" else tokenizer.eos_token_id


def prepared(config: Any, processor: Any, train: "Dataset", evaluation: "dict[str, Dataset] | None", fit: Fit) -> dict[str, Any]:
    """train_dataset, eval_dataset and reward_funcs of a trainer; with pictures also `encode`, by which places become a batch.

    A row is the ids of its prompt, as every trainer wants them (or text, where there are pictures to it), and its place among all prompts,
    by which the rewards find what was asked.
    """
    from datasets import Dataset

    sets = {"": train, **(evaluation or {})}
    prompts = {name: _fitted(config, asked(config, processor, rows.to_list()), fit) for name, rows in sets.items()}
    every = [one for some in prompts.values() for one in some]
    places = iter(range(len(every)))
    made = {name: Dataset.from_list([{"prompt": _given(one), "place": next(places)} for one in some]) for name, some in prompts.items()}
    scorers = rewards.build(config.rewards, "cuda" if config.gpus else "cpu")
    functions = [_function(title, scorer, every) for title, scorer in scorers.items()]
    shown = _shown(every)
    encode = {"encode": lambda places: pictures.batch(processor, [shown[place] for place in places], "left")} if shown else {}
    return {"train_dataset": made.pop(""), "eval_dataset": made or None, "reward_funcs": functions, **encode}


def _given(one: Asked) -> list[int] | str:
    return one.ids if one.shown is None else one.shown.text.text


def _fitted(config: Any, some: Sequence[Asked], fit: Fit) -> list[Asked]:
    """Those of `some` that are short enough, or were cut to be."""
    kept = [(one, fit(config, {"input_ids": one.ids})) for one in some]
    return [one._replace(ids=example["input_ids"]) for one, example in kept if example is not None]


def _function(title: str, scorer: Scorer, every: Sequence[Asked]) -> Callable[..., list[float]]:
    """A reward as trl and our PPO call it."""

    def reward(completions: Sequence[str], place: Sequence[int], **_: Any) -> list[float]:
        return scorer(
            [Attempt(every[number].prompt, text.strip(), every[number].row) for text, number in zip(completions, place, strict=True)]
        )

    reward.__name__ = title
    return reward


def weights(config: Judged) -> list[float]:
    """What each reward counts."""
    return [reward.weight for reward in config.rewards]


def predict(
    config: Any,
    model: Any,
    processor: Any,
    rows: Sequence[conversations.Row],
    generation: dict[str, Any],
    fit: Fit,
) -> list[Prediction]:
    """What the model writes after each prompt, and the rewards of that."""
    from polar_tools.inference import generate

    if config.on_too_long == "drop":  # no test row may go missing
        config = config.model_copy(update={"on_too_long": "cut_left"})
    some = _fitted(config, asked(config, processor, rows), fit)
    generation = {**generation, "eos_token_id": stop(config, processor)}
    if pictures.shown_by(processor):
        written = pictures.continuations(model, processor, _shown(some), generation)
    else:
        written = generate(model, processor, [one.ids for one in some], generation)
    attempts = [Attempt(one.prompt, text, one.row) for one, (text, _) in zip(some, written, strict=True)]
    scores = {title: scorer(attempts) for title, scorer in rewards.build(config.rewards, model.device).items()}
    told = [(_last(attempt.prompt), _last(attempt.row.get("completion")), attempt.completion) for attempt in attempts]
    return [Prediction(*said, None, 0, _figures(config, scores, place), cut=written[place].cut) for place, said in enumerate(told)]


def _figures(config: Judged, scores: dict[str, list[float]], place: int) -> dict[str, float]:
    """The reward of a row, and what it is made of."""
    each = {f"reward_{title}": found[place] for title, found in scores.items()}
    return {"reward": sum(weight * number for weight, number in zip(weights(config), each.values(), strict=True)), **each}


def _last(said: Any) -> str:
    """A text, or the last of several turns, for people and metrics."""
    if isinstance(said, str) or not said:
        return said or ""
    return conversations.text_of(said[-1])
