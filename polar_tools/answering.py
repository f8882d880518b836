"""A model asked by hand: rows without answers, one lot after another, and talk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polar_tools import architectures, conversations, evaluating, finding, labelling, labels, marks, modeling, templates
from polar_tools.errors import DataError, RowError, UserError
from polar_tools.finding import Found
from polar_tools.metrics.base import Prediction
from polar_tools.running import Running

LOT = 64
"""Rows of a file that are asked together; those of a person, or of a program that waits, one by one."""
PLAIN = ("prompt", "document", "text")
"""What a plain line may be, best first."""
BLANK = "."
"""Stands for an answer that nobody knows, where a method looks for one."""
OURS = ("prediction", "cut", "figures")
FREE = ("confidence", "score", "similarity")
"""Figures that say something of a row without a reference, as rewards do."""


def find(
    given: str, config: Path, run: str | None, evaluation: str | None, method: str | None, fields: Mapping[str, Any], work: Path
) -> Found:
    """An experiment of `config`, or what lies in a folder; raises UserError where there is neither. `work` is for what must be written."""
    folder = Path(given)
    if not folder.is_dir():
        if not config.is_file():
            raise UserError(f"there is no folder {given}, and no {config} in which it could be an experiment; name the file by --config")
        return finding.experiment(config, given, run, evaluation).with_fields(fields)
    if run is not None or evaluation is not None:
        raise UserError("--run and --evaluation go with an experiment of a config, not with a folder")
    if (made := finding.trained(folder)) is not None:
        return made.with_fields(fields)
    return finding.untrained(folder.resolve(), ("prompt", "completion"), method, fields, work)


def read(source: str, lines: Iterable[str], columns: Mapping[str, str], trained: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The rows of a file of any format that `prepare` reads, or of `lines`, JSON objects or plain, where `source` is `-`."""
    if source != "-":
        path = Path(source)
        if not path.exists():
            raise UserError(f"there is no {source}; `-` reads standard input")
        yield from evaluating.recognised(path, columns or evaluating.there(path, trained))
        return
    named = {column: role for role, column in (columns or trained).items()}
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _object(line, number) if line.lstrip().startswith("{") else {"text": line.rstrip("\r\n")}
            yield {named.get(name, name): value for name, value in row.items()}


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise DataError(f"line {number} of standard input is no JSON: {error}") from error
    return found


def predictions(found: Found, rows: Iterable[Mapping[str, Any]], lot: int = LOT) -> Iterator[dict[str, Any]]:
    """Each row with `prediction`, `cut` where the model writes, and `figures`, as they come; the reference where the row has one.

    Raises DataError for a row that can't be asked, with its number counted from 1.
    """
    done, running = 0, None
    source = iter(rows)
    while some := list(itertools.islice(source, lot)):
        asked = running or _Unloaded(found)
        filled = [_filled(row, asked, done + place) for place, row in enumerate(some)]
        running = running or found.load([row for row, _ in filled])
        answered = _asked(running, [row for row, _ in filled], found.generation.told(found.seed), done)
        for row, (_, known), one in zip(some, filled, answered, strict=True):
            yield _line(row, one, known)
        done += len(some)


class _Unloaded:
    """A method and its config before a model is loaded."""

    def __init__(self, found: Found) -> None:
        from polar_tools import discovery

        self.config, self.method, self.features = found.config, discovery.load("methods", found.config.method), _features(found)


def _features(found: Found) -> dict[str, Any]:
    return modeling.load_features(str(found.root / found.tokenizer)) if found.tokenizer is not None else found.features or {}


def _asked(running: Running, rows: Sequence[dict[str, Any]], generation: dict[str, Any], before: int) -> list[Prediction]:
    try:
        return running.predict(rows, generation)
    except RowError as error:
        raise DataError(f"row {before + error.place + 1}: {error}") from error


def _filled(row: Mapping[str, Any], asked: Any, place: int) -> tuple[dict[str, Any], bool]:
    """`row` with a blank where its method looks for an answer that isn't there, and whether it had one."""
    blanks = _blanks(asked)
    plain = dict(row)
    if set(plain) == {"text"} and (name := _plain_column(asked, blanks)) != "text":
        plain = {name: plain["text"]}
    if "messages" in plain:
        turns = conversations.turns_of("user", plain["messages"])
        known = bool(turns) and turns[-1]["role"] == "assistant"
        return {**plain, "messages": turns if known else [*turns, {"role": "assistant", "content": BLANK}]}, known
    has = {*plain, *asked.config.makes()}
    ways = [[name for name in wanted if name not in has] for wanted in asked.method.COLUMNS]
    possible = [missing for missing in ways if all(name in blanks for name in missing)]
    if not possible:
        raise DataError(
            f"row {place + 1} has {', '.join(f'`{name}`' for name in row)}, and method `{asked.config.method}` reads "
            f"{' or '.join(' + '.join(f'`{name}`' for name in wanted if name not in blanks) for wanted in asked.method.COLUMNS)}; "
            "name columns by --column NAME=COLUMN"
        )
    missing = min(possible, key=len)
    return {**plain, **{name: blanks[name] for name in missing}}, not missing


def _plain_column(asked: Any, blanks: Mapping[str, Any]) -> str:
    """What a plain line is to a method."""
    alone = {name for wanted in asked.method.COLUMNS for name in wanted if set(wanted) - set(blanks) == {name}}
    return next((name for name in PLAIN if name in alone), "text")


def _blanks(asked: Any) -> dict[str, Any]:
    """What stands for an answer, by its column."""
    known = list(asked.features.get("label2id", {})) or [0]
    several = asked.features.get("problem_type") == labels.MULTI
    return {"completion": BLANK, "summary": BLANK, "label": known[0], "score": 0.0, **({"labels": []} if several else {})}


def _line(row: Mapping[str, Any], one: Prediction, known: bool) -> dict[str, Any]:
    """What is told of a row; raises DataError where a column of its own has the name of something that is told."""
    if taken := sorted(set(OURS) & set(row)):
        raise DataError(f"the rows have a column `{taken[0]}`, which is what a prediction is called; rename it")
    told: dict[str, Any] = {**{name: _shown(value) for name, value in row.items()}, "prediction": one.prediction}
    if one.cut is not None:
        told["cut"] = one.cut
    if figures := {name: value for name, value in one.figures.items() if known or name in FREE or name.startswith("reward")}:
        told["figures"] = figures
    return {**told, "reference": one.reference} if known else told


def _shown(value: Any) -> Any:
    """A value as JSON: of a picture its path."""
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return None if isinstance(value, bytes) else value


class Chat:
    """A conversation with a model: turns so far, and what it says to the next."""

    def __init__(self, found: Found) -> None:
        self.found, self.turns = found, list[dict[str, Any]]()
        self.system: str | None = found.config.model_dump(include={"system_prompt"}).get("system_prompt")
        asked = _Unloaded(found)
        self.running = found.load([_filled({"text": "?"}, asked, 0)[0]])
        self.tokenizer = modeling.tokenizer_of(self.running.processor)
        writes = self.running.method.MODEL_CLASS in (architectures.CAUSAL, architectures.PICTURES)
        self.talks = writes and isinstance(found.config, conversations.Prompts)
        self.has_turns = self.talks and found.config.model_dump()["chat_template"] != "none" and self.tokenizer.chat_template is not None

    def reset(self) -> None:
        """Forget what was said."""
        self.turns.clear()

    def say(self, text: str, write: Callable[[str], None]) -> None:
        """Answer `text`, piece by piece to `write`; raises DataError for what can't be asked."""
        if not self.talks:
            [told] = [_answer(one) for one in _asked(self.running, [_filled({"text": text}, self.running, 0)[0]], self._generation(), 0)]
            write(told)
            return
        self.turns.append({"role": "user", "content": text})
        try:
            answer = self._written(self._ids(text), write)
        except BaseException:
            self.turns.pop()
            raise
        self.turns.append({"role": "assistant", "content": answer})

    def _ids(self, text: str) -> list[int]:
        """What the model is given: the whole conversation, or, where nothing writes turns, the text alone."""
        try:
            marks.refuse_special(self.tokenizer, [[("text", text)]])
            if not self.has_turns:
                return list(labelling.plain(self.tokenizer, [text], [])[0]["input_ids"])
            system = [{"role": "system", "content": self.system}] if self.system else []
            return labelling.asked(self.tokenizer, [templates.Dialogue([*system, *self.turns])])[0]
        except RowError as error:
            raise DataError(str(error)) from error

    def _written(self, ids: list[int], write: Callable[[str], None]) -> str:
        """The model's answer, of which `write` is given what is new after every token."""
        import torch

        from polar_tools import decoding

        known = self.running.model.config.get_text_config().to_dict().get("max_position_embeddings")
        if known is not None and len(ids) >= known:
            raise DataError(f"the conversation has {len(ids)} tokens, and the model knows {known} places; /reset begins anew")
        stop = marks.end_of_turn(self.tokenizer) if self.has_turns else self.tokenizer.eos_token_id
        inputs = {
            name: torch.tensor([row], device=self.running.model.device)
            for name, row in (("input_ids", ids), ("attention_mask", [1] * len(ids)))
        }
        shown = _Shown(self.tokenizer, write)
        [one] = decoding.write(
            self.running.model, self.tokenizer, inputs, {**self._generation(), "eos_token_id": stop}, [self.found.seed], each=shown
        )
        shown.rest(one.text)
        return one.text

    def _generation(self) -> dict[str, Any]:
        return self.found.generation.told(self.found.seed)


class _Shown:
    """Text as it comes: what of it is whole, without outer blanks."""

    def __init__(self, tokenizer: Any, write: Callable[[str], None]) -> None:
        self.tokenizer, self.write, self.text = tokenizer, write, ""

    def __call__(self, ids: list[int]) -> None:
        """The ids so far."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        if not text.endswith("\N{REPLACEMENT CHARACTER}") and text.startswith(self.text):
            self.write(text[len(self.text) :])
            self.text = text

    def rest(self, text: str) -> None:
        """What of the whole text wasn't shown yet."""
        if text.startswith(self.text):
            self.write(text[len(self.text) :])


def _answer(one: Prediction) -> str:
    """A prediction for people, with its probability where it has one."""
    sure = one.figures.get("confidence")
    return f"{one.prediction}{'' if sure is None else f'  ({sure:.3f})'}"
