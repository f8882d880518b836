"""Rows -> dialogues, prompts with answers, or plain texts -> token ids, and labels that say what of them is trained on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from polar_tools import labelling, marks, modeling, pictures, templates
from polar_tools.errors import ConfigError, RowError
from polar_tools.fields import Frozen, Rendered
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

Row = Mapping[str, Any]


class Prompts(Frozen):
    """Fields of every method whose rows are dialogues or prompts. Among the bases of a Config they stand before those of all methods."""

    system_prompt: Rendered[str | None] = None
    """First turn of every dialogue that has none of its own."""
    chat_template: Rendered[Annotated[str, AfterValidator(templates.chosen)]] = "tokenizer"
    """`tokenizer` (its own), `chatml`, `zephyr`, `none` (prompt and completion as they are), or jinja: the text itself, or `FILE.jinja`."""
    prompt_template: Rendered[Annotated[str, AfterValidator(templates.well_formed)] | None] = None
    """Makes each row's `prompt`: text with columns in it, such as `question: {question} answer:`."""

    @model_validator(mode="after")
    def _template_has_turns(self) -> Self:
        if self.system_prompt and self.chat_template == "none":
            raise ValueError("system_prompt would be ignored without a chat template")
        return self

    def makes(self) -> tuple[str, ...]:
        """The prompt, where a template makes it."""
        return ("prompt",) if self.prompt_template else ()


class Fields(Prompts):
    """Fields of every method that trains on what an assistant says."""

    add_eos_token: Rendered[bool] = True
    """Whether the end-of-text token follows a text, and a completion under `chat_template: none`."""


def set_up(config: Prompts, processor: Any) -> Any:
    """The tokenizer, or the one in a processor, with the chosen chat template, and with what ends its turns as the end-of-text token."""
    if pictures.shown_by(processor):
        pictures.set_up(config, processor)
    tokenizer = modeling.tokenizer_of(processor)
    marks.set_template(config.chat_template, tokenizer, config.system_prompt)
    processor.chat_template = tokenizer.chat_template
    return processor


def render(config: Fields, processor: Any, rows: Sequence[Row], answer: str = "completion") -> list[marks.Example]:
    """Token ids of each row, and labels that are trained on: the assistant's turns, what stands in the column `answer`, or the whole text.

    Given a processor, with the ids of pictures. Raises ConfigError for a choice that doesn't go with the rows, and RowError for a row that
    can't be told apart into given and answered.
    """
    tokenizer = modeling.tokenizer_of(processor)
    refuse_unread(config, tokenizer, rows[0], answer)
    if pictures.shown_by(processor):
        return pictures.render(processor, illustrated(config, processor, rows, answer))
    wanted = columns(config, rows[0], answer)
    refuse_missing(rows, wanted)
    ends = [tokenizer.eos_token_id] if config.add_eos_token else []
    if wanted == ["text"]:
        return labelling.plain(tokenizer, [row["text"] for row in rows], ends)
    marks.refuse_special(tokenizer, (contents(row, [*wanted, "tools"]) for row in rows))
    rows = _prompted(config, rows)
    if not has_turns(config, rows[0], answer):
        return labelling.continued(tokenizer, [(row["prompt"], row[answer]) for row in rows], ends)
    return labelling.dialogues(tokenizer, [dialogue(config, row, place, answer) for place, row in enumerate(rows)])


def illustrated(config: Prompts, processor: "ProcessorMixin", rows: Sequence[Row], answer: str = "completion") -> list[pictures.Row]:
    """Each row as the chat template writes it, with its pictures. Raises ConfigError for rows without turns, and RowError for a bad one."""
    if not has_turns(config, rows[0], answer):
        raise ConfigError("the rows are plain text and have no turns in which a picture could stand; give them `messages`, or a `prompt`")
    wanted = columns(config, rows[0], answer)
    refuse_missing(rows, wanted)
    marks.refuse_special(processor.tokenizer, (contents(row, [*wanted, "tools"]) for row in rows))
    if config.prompt_template:
        templates.refuse_unknown(config.prompt_template, list(rows[0]))
    rows = _prompted(config, rows)
    shown = [pictures.of(row) for row in rows]
    dialogues = [dialogue(config, row, place, answer) for place, row in enumerate(rows)]
    return pictures.rows(processor, templates.dialogues(processor.tokenizer, pictures.placed(dialogues, shown)), shown)


def encoded(config: Prompts, processor: "ProcessorMixin", rows: Sequence[Row]) -> pictures.Batch:
    """What a model is given of `rows` with their pictures, and the same as rows with labels."""
    return pictures.batch(processor, illustrated(config, processor, rows))


def _prompted(config: Prompts, rows: Sequence[Row]) -> Sequence[Row]:
    """`rows`, with their prompt where a template makes it."""
    if not config.prompt_template:
        return rows
    made = templates.prompts(config.prompt_template, rows)
    return [{**row, "prompt": prompt} for row, prompt in zip(rows, made, strict=True)]


def columns(config: Prompts, row: Row, answer: str = "completion") -> list[str]:
    """The columns that make the text of a row."""
    if config.prompt_template:
        return [*templates.columns(config.prompt_template), answer]
    return next(list(known) for known in (("messages",), ("prompt", answer), ("text",)) if set(known) <= set(row))


def has_turns(config: Prompts, row: Row, answer: str = "completion") -> bool:
    """Whether a chat template writes the row."""
    wanted = columns(config, row, answer)
    return wanted == ["messages"] or (wanted != ["text"] and config.chat_template != "none")


def refuse_unread(config: Fields, tokenizer: "PreTrainedTokenizerBase", row: Row, answer: str = "completion") -> None:
    """Raise ConfigError for a choice that these rows would leave without effect, or that doesn't go with them."""
    turns, written = isinstance(row.get("messages", row.get("prompt")), list), has_turns(config, row, answer)
    problems = {
        f"prompt_template would be ignored: the rows have no `{answer}`": config.prompt_template and answer not in row,
        "system_prompt would be ignored: the rows are plain text and have no turns": config.system_prompt and not written,
        "chat_template would be ignored: the rows are plain text and have no turns": not written
        and config.chat_template not in ("tokenizer", "none"),
        "add_eos_token would be ignored: the chat template says how turns end": written and not config.add_eos_token,
        "chat_template: none writes no turns, and the rows have messages; choose another, such as zephyr": turns
        and config.chat_template == "none",
        "this model's tokenizer has no chat template; set `chat_template` to chatml, zephyr, none or one of your own": written
        and tokenizer.chat_template is None,
        "this model's tokenizer has no end-of-text token (eos_token); set `add_eos_token: false`": not written
        and config.add_eos_token
        and tokenizer.eos_token_id is None,
    }
    for problem, there in problems.items():
        if there:
            raise ConfigError(problem)
    if config.prompt_template:
        templates.refuse_unknown(config.prompt_template, list(row))


def exchange(
    tokenizer: "PreTrainedTokenizerBase", prompt: Any, answer: Any, tools: Sequence[Any] | None = None
) -> templates.Dialogue | str:
    """A prompt and its answer, texts or messages, as `whole` takes them: a dialogue if the tokenizer has a template for such."""
    if tokenizer.chat_template is None and isinstance(prompt, str) and isinstance(answer, str):
        return prompt + answer
    turns = [*turns_of("user", prompt), *turns_of("assistant", answer)]
    return templates.Dialogue(turns, tools, len(turns))


def whole(tokenizer: "PreTrainedTokenizerBase", said: Sequence[templates.Dialogue | str]) -> list[list[int]]:
    """Ids of dialogues, or of texts, as something is to read and judge them, with an end behind texts where there is a token for it.

    The tokenizer alone decides them, so that a reward model reads what it is asked about as it read what it was trained on. Raises
    ConfigError for a dialogue where there is no chat template.
    """
    inner, end = marks.backend(tokenizer), tokenizer.eos_token_id
    if isinstance(said[0], str):
        encodings = inner.encode_batch([*said])
        closed = bool(inner.encode("a").special_tokens_mask[-1]) or end is None or end == tokenizer.pad_token_id
        return [encoding.ids if closed else [*encoding.ids, end] for encoding in encodings]
    if tokenizer.chat_template is None:
        raise ConfigError("this model's tokenizer has no chat template; set `chat_template` to chatml, zephyr or one of your own")
    texts = templates.dialogues(tokenizer, [dialogue for dialogue in said if not isinstance(dialogue, str)])
    return [encoding.ids for encoding in inner.encode_batch([text.text for text in texts], add_special_tokens=False)]


def set_padding(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Let padding be another token than the one that ends texts, where there is a special token that nothing else needs.

    A model that reads a number off the last token that is no padding would never see the end.
    """
    if tokenizer.pad_token not in (None, tokenizer.eos_token):
        return
    found = marks.marks(tokenizer)
    needed = (tokenizer.eos_token, tokenizer.bos_token, found.opening_text, str(tokenizer.chat_template))
    spare = [token for token in found.special.values() if not any(token in str(text) for text in needed)]
    named = [token for token in spare if "pad" in token.lower() or token == tokenizer.unk_token]
    tokenizer.pad_token = next(iter([*named, *spare]), tokenizer.eos_token)


def refuse_missing(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Raise RowError for the first row in which one of the columns `names` has no value."""
    for place, row in enumerate(rows):
        for name in names:
            if row[name] is None:
                raise RowError(place, f"its `{name}` is missing; the filter `missing` drops such rows")


def dialogue(config: Prompts, row: Row, place: int, answer: str = "completion") -> templates.Dialogue:
    """The turns of a row. An assistant's turns in a prompt are given, not trained on."""
    if config.prompt_template or "messages" not in row:
        given = turns_of("user", row["prompt"])
        turns = [*given, *turns_of("assistant", row[answer])]
    else:
        given, turns = [], turns_of("user", row["messages"])
    if not turns:
        raise RowError(place, "has no turns; the filter `missing` drops such rows")
    whole = opened(config, turns)
    return templates.Dialogue(whole, tools_of(row, place), len(whole) - len(turns) + len(given))


def opened(config: Prompts, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`turns` with the system prompt before them, where they have none of their own."""
    system = [{"role": "system", "content": config.system_prompt}]
    return [*system, *turns] if config.system_prompt and turns[0]["role"] not in ("system", "developer") else turns


def turns_of(role: str, said: Any) -> list[dict[str, Any]]:
    """Messages as they are, text as a message by `role`."""
    return [{"role": role, "content": said}] if isinstance(said, str) else templates.present(said)


def tools_of(row: Row, place: int) -> list[Any] | None:
    """The tools that a row's turns may call: records, or JSON of them."""
    tools = row.get("tools")
    try:
        return templates.present(json.loads(tools) if isinstance(tools, str) else tools) or None
    except ValueError as error:
        raise RowError(place, f"its `tools` are no JSON: {error}") from error


def contents(row: Row, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(column, text) of all that a row says in the columns `names`."""
    return ((name, text) for name in names for text in _strings(row.get(name)))


def _strings(value: Any) -> Iterator[str]:
    """Every text in `value`, at any depth, but for who speaks."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for key, item in value.items() if key != "role" for text in _strings(item))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in _strings(item))


def check(config: Any, processor: Any, row: Row, example: marks.Example, cut: str | None, answer: str = "completion") -> None:
    """Raise DataError for an example with BOS, end or mask as none should be, or where a cut went through a picture.

    `cut` is the side on which it may have been cut.
    """
    if pictures.shown_by(processor):
        pictures.refuse_cut(processor, example)
    tokenizer = modeling.tokenizer_of(processor)
    found, written = marks.marks(tokenizer), has_turns(config, row, answer)
    marks.check(
        found,
        example,
        end=marks.end_of_turn(tokenizer) if written else found.eos if config.add_eos_token else None,
        beginnings=exchanges(row),
        prompted=written or columns(config, row, answer) != ["text"],
        cut=cut,
    )


def exchanges(row: Row) -> int:
    """How often a user speaks: some templates begin anew each time."""
    turns = row.get("messages", row.get("prompt"))
    return max(1, sum(turn["role"] == "user" for turn in turns)) if isinstance(turns, list) else 1


def asked_and_answered(config: Prompts, row: Row, answer: str = "completion") -> tuple[str, str]:
    """What stands before the last answer, and that answer, for people and metrics."""
    if columns(config, row, answer) == ["text"]:
        return "", str(row["text"])
    if config.prompt_template:
        row = {**row, "prompt": templates.prompts(config.prompt_template, [row])[0]}
    turns = dialogue(config.model_copy(update={"system_prompt": None}), row, 0, answer).turns
    last = max((number for number, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns) - 1)
    before = turns[last - 1] if last else {}
    return text_of(before), text_of(turns[last])


def text_of(turn: Row) -> str:
    """What a turn says; of parts those that are text."""
    said = turn.get("content") or ""
    return said if isinstance(said, str) else "\n".join(part["text"] for part in said if part.get("type") == "text")


def predict(
    config: Prompts, model: "PreTrainedModel", processor: "ProcessorMixin", rows: Sequence[Row], generation: Mapping[str, Any]
) -> list[Prediction]:
    """What a model that is shown pictures writes after each row's prompt, and the loss of the reference there."""
    shown = illustrated(config, processor, rows)
    asked = [pictures.before_answer(processor, row) for row in shown]
    stop = {"eos_token_id": marks.end_of_turn(processor.tokenizer)}
    written = pictures.continuations(model, processor, asked, {**generation, **stop})
    losses = pictures.losses(model, processor, shown)
    told = [asked_and_answered(config, row) for row in rows]
    return [
        Prediction(*said, one.text, loss.loss, loss.tokens, loss.figures, cut=one.cut)
        for said, one, loss in zip(told, written, losses, strict=True)
    ]
