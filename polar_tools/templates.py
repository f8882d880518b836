"""Which text a model sees of a row: prompt templates, chat templates, and where in the text the answers stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple

from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.fields import did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = Mapping[str, Any]
"""A message: `role`, `content` (text, or a list of parts) and what else a template knows, such as `tool_calls`."""

_PARTS = """\
{%- macro parts(message) -%}
{%- if message['tool_calls'] -%}
{{ raise_exception('this template knows no tool calls; choose `tokenizer`, or write one that does') }}
{%- endif -%}
{%- for part in message['content'] or [] -%}
{%- if part['text'] is not string -%}{{ raise_exception('this template knows no parts but text; write one that does') }}{%- endif -%}
{{ part['text'] }}
{%- endfor -%}
{%- endmacro -%}
"""
_TEXT = "(message['content'] if message['content'] is string and not message['tool_calls'] else parts(message))"
BUILT_IN = {
    "chatml": _PARTS + "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + " + _TEXT + " + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "zephyr": _PARTS + "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + " + _TEXT + " + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
}
"""Chat templates of our own: OpenAI's ChatML, and that of HuggingFaceH4/zephyr-7b-beta."""
NAMES = ("tokenizer", *BUILT_IN, "none")
QUESTION, ANSWER = "What is it?", "Nothing"
"""A small dialogue that every template must be able to write."""


class Dialogue(NamedTuple):
    """What a chat template writes: turns, the tools that they may call, and the first turn whose answer is trained on."""

    turns: Sequence[Turn]
    tools: Sequence[Any] | None = None
    first: int = 0


class Text(NamedTuple):
    """A row as text, and the answers in it as [begin, end) in characters."""

    text: str
    answers: Sequence[tuple[int, int]]


def chosen(value: str) -> str:
    """One of NAMES, or the text of a template of one's own, read from the file where `value` is a path that ends in `.jinja`.

    Raises ValueError for a name or a file that isn't there, and for a template that isn't valid.
    """
    if value in NAMES:
        return value
    text = value if _is_template(value) else _read(value)
    with suppress(ImportError):  # a check of the config needs no jinja2; the stages that render do
        _refuse_bad_syntax(text)
    return text


def _is_template(value: str) -> bool:
    return "{{" in value or "{%" in value


def _read(value: str) -> str:
    if not value.endswith(".jinja"):
        known = f"known are {', '.join(NAMES)}, the path of a file that ends in .jinja, or a template itself"
        raise ValueError(f"there is no chat template `{value}`{did_you_mean(value, list(NAMES)) or '; ' + known}")
    try:
        text = Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the template {value} can't be read: {error}") from error
    if not _is_template(text):
        raise ValueError(f"{value} holds no template: there is neither `{{{{` nor `{{%` in it")
    return text


def _refuse_bad_syntax(text: str) -> None:
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag by which some templates mark answers; transformers knows it too."""

        tags = {"generation"}

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    try:
        ImmutableSandboxedEnvironment(extensions=[Generation, loopcontrols]).parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"the chat template is not valid jinja: line {error.lineno}: {error.message}") from error


def install(choice: str, tokenizer: PreTrainedTokenizerBase, opening: str, system_prompt: str | None) -> None:
    """Put the template that `choice` means into `tokenizer`, and try it.

    `opening` is what the tokenizer writes in front of a text; the built-in templates begin with it. Raises ConfigError for a
    template that the tokenizer can't be used with, or that can't write a small dialogue.
    """
    if choice in BUILT_IN:
        _refuse_missing_tokens(choice, tokenizer)
        tokenizer.eos_token = "<|im_end|>" if choice == "chatml" else tokenizer.eos_token
        tokenizer.chat_template = (f"{{{{ {json.dumps(opening, ensure_ascii=False)} }}}}" if opening else "") + BUILT_IN[choice]
    elif choice not in ("tokenizer", "none"):
        tokenizer.chat_template = choice
    if choice not in ("tokenizer", "none") or (system_prompt and tokenizer.chat_template is not None):
        try:
            _small_dialogue(tokenizer, system_prompt)
        except DataError as error:
            what = "a small dialogue with a system prompt" if system_prompt else "a small dialogue"
            raise ConfigError(f"chat_template: {what} can't be written; {error}") from error


def _small_dialogue(tokenizer: PreTrainedTokenizerBase, system_prompt: str | None = None) -> tuple[str, str]:
    """Its prompt and all of it; contents are text, or parts where the template wants those."""
    said = [*([("system", system_prompt)] if system_prompt else []), ("user", QUESTION), ("assistant", ANSWER)]
    texts = [{"role": role, "content": text} for role, text in said]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
    try:
        return _write(tokenizer, texts[:-1], None, True), _write(tokenizer, texts, None, False)
    except DataError as error:
        with suppress(DataError):
            return _write(tokenizer, parts[:-1], None, True), _write(tokenizer, parts, None, False)
        raise error


def _refuse_missing_tokens(choice: str, tokenizer: PreTrainedTokenizerBase) -> None:
    if choice == "zephyr" and tokenizer.eos_token is None:
        raise ConfigError("chat_template: zephyr closes turns with the tokenizer's end-of-text token (eos_token), and this one has none")
    if choice == "chatml":
        missing = [name for name in ("<|im_start|>", "<|im_end|>") if not _is_token(tokenizer, name)]
        if missing:
            raise ConfigError(
                f"chat_template: chatml needs {' and '.join(missing)} as single tokens, which this model's vocabulary lacks; "
                "`chat_template: zephyr` closes turns with the tokenizer's own end-of-text token"
            )


def _is_token(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return len(ids) == 1 and tokenizer.convert_ids_to_tokens(ids[0]) == text


def dialogues(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Dialogue]) -> list[Text]:
    """Each dialogue as the tokenizer's template writes it, and where its assistant's turns stand there.

    A turn begins where the text ends that a model is given to write it, and ends where the dialogue up to it ends. Raises RowError
    where the template refuses a dialogue or writes its beginning otherwise when more follows.
    """
    answers = [[number for number in range(row.first, len(row.turns)) if row.turns[number]["role"] == "assistant"] for row in rows]
    starts = [(place, number) for place, numbers in enumerate(answers) for number in numbers]
    ends = [(place, number + 1) for place, number in starts if number + 1 < len(rows[place].turns)]
    whole = [(place, len(row.turns)) for place, row in enumerate(rows)]
    before = dict(zip(starts, _written(tokenizer, rows, starts, True), strict=True))
    through = dict(zip([*ends, *whole], _written(tokenizer, rows, [*ends, *whole], False), strict=True))
    texts = []
    for place, numbers in enumerate(answers):
        text = through[place, len(rows[place].turns)]
        prefixes = [(before[place, number], through[place, number + 1]) for number in numbers]
        if not all(text.startswith(prefix) for pair in prefixes for prefix in pair):
            raise RowError(
                place, "the chat template changes earlier turns when later ones follow, so what is trained on can't be told apart"
            )
        texts.append(Text(text, [(len(start), len(end)) for start, end in prefixes]))
    return texts


def asked(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Dialogue]) -> list[str]:
    """The text that a model is given to write the next turn of each dialogue; raises RowError where the template refuses one."""
    return _written(tokenizer, rows, [(place, len(row.turns)) for place, row in enumerate(rows)], True)


def _written(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Dialogue], cuts: Sequence[tuple[int, int]], generation: bool) -> list[str]:
    """The texts of the first turns of some rows: `cuts` holds (row, turns)."""
    if not cuts:
        return []
    if not any(row.tools for row in rows):
        with suppress(DataError):  # what is wrong in which row shows below, one by one
            return _write_all(tokenizer, [rows[place].turns[:upto] for place, upto in cuts], None, generation)
    texts = []
    for place, upto in cuts:
        try:
            texts.append(_write(tokenizer, rows[place].turns[:upto], rows[place].tools, generation))
        except DataError as error:
            raise RowError(place, str(error)) from error
    return texts


def _write(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], tools: Sequence[Any] | None, generation: bool) -> str:
    return _write_all(tokenizer, [turns], tools, generation)[0]


def _write_all(
    tokenizer: PreTrainedTokenizerBase, some: Sequence[Sequence[Turn]], tools: Sequence[Any] | None, generation: bool
) -> list[str]:
    try:
        return list(tokenizer.apply_chat_template([*some], tools=tools, tokenize=False, add_generation_prompt=generation))
    except Exception as error:  # a template is a program, and may fail in any way
        raise DataError(f"the chat template says: {error}") from error


def present(value: Any) -> Any:
    """`value` without the keys whose value is None, at any depth: Arrow gives each record the keys of all."""
    if isinstance(value, Mapping):
        return {key: present(item) for key, item in value.items() if item is not None}
    return [present(item) for item in value] if isinstance(value, list | tuple) else value


def ending(tokenizer: PreTrainedTokenizerBase) -> str:
    """What the tokenizer's template writes behind the content of an answer."""
    before, whole = _small_dialogue(tokenizer)
    return whole.removeprefix(before).rpartition(ANSWER)[2]


def well_formed(template: str) -> str:
    """`template`, a prompt template that names columns; raises ValueError where it names none, or can't be read."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error}; write `{{{{` and `}}}}` for braces") from error
    if any(name is not None and (not name or spec or conversion) for _, name, spec, conversion in parts):
        raise ValueError("a field is `{column}`, with nothing but the column's name in it; write `{{` and `}}` for braces")
    if not columns(template):
        raise ValueError("names no column; write it as `{column}`")
    return template


def columns(template: str) -> list[str]:
    """The columns that a prompt template names."""
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def refuse_unknown(template: str, known: Sequence[str]) -> None:
    """Raise DataError for a column that a prompt template names and that isn't there."""
    for name in columns(template):
        if name not in known:
            has = ", ".join(f"`{column}`" for column in known)
            raise DataError(f"prompt_template: there is no column `{name}`{did_you_mean(name, list(known)) or f'; the dataset has {has}'}")


def prompts(template: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """`template` filled in for each row; raises RowError for a value that is missing, or neither text nor a number."""
    parts = [(literal, name) for literal, name, _, _ in Formatter().parse(template)]
    return ["".join(_filled(parts, row, place)) for place, row in enumerate(rows)]


def _filled(parts: Sequence[tuple[str, str | None]], row: Mapping[str, Any], place: int) -> Iterator[str]:
    for literal, name in parts:
        yield literal
        if name is not None:
            if not isinstance(row[name], str | int | float):
                what = "is missing; the filter `missing` drops such rows" if row[name] is None else "is neither text nor a number"
                raise RowError(place, f"its `{name}`, which prompt_template wants, {what}")
            yield str(row[name])
