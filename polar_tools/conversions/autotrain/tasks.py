"""AutoTrain's other tasks, as its YAML has them: those that there is a method for, and what to do instead of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.autotrain import adapter, data, training
from polar_tools.conversions.autotrain.given import FIELDS, Given
from polar_tools.conversions.autotrain.names import TASKS
from polar_tools.conversions.base import DATA, Draft
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean

METHODS = {
    "text_multi_class_classification": "classification",
    "text_single_column_regression": "classification",
    "seq2seq": "seq2seq",
    "sentence_transformers": "sentence_transformer",
}
SPELLINGS = {
    **dict.fromkeys(("text_classification", "text_binary_classification"), "text_multi_class_classification"),
    "text_regression": "text_single_column_regression",
    "st": "sentence_transformers",
}
"""A task as people write it, with `_` for `-` and without what stands behind `:` -> AutoTrain's own name."""
PAIRS: dict[str, tuple[tuple[str, ...], str]] = {
    "pair": (("anchor", "positive"), "multiple_negatives_ranking"),
    "pair_class": (("sentence1", "sentence2", "label"), "softmax"),
    "pair_score": (("sentence1", "sentence2", "score"), "cosent"),
    "triplet": (("anchor", "positive", "negative"), "multiple_negatives_ranking"),
    "qa": (("anchor", "positive"), "multiple_negatives_ranking"),
}
"""What AutoTrain's sentence transformers learn from -> our columns, and AutoTrain's loss."""
NONE_HERE = "no method here does that"
INSTEAD = {
    "vlm": "`method: multimodal` trains models of pictures and text, on `images` and `messages` or `image` and `text`: docs/train.md",
    "token_classification": f"{NONE_HERE}; `method: classification` labels whole texts",
    "extractive": f"{NONE_HERE}; `method: sft` trains a model to write the answer",
    "ext_qa": f"{NONE_HERE}; `method: sft` trains a model to write the answer",
    "image": f"{NONE_HERE}; `method: multimodal` trains models that write about pictures",
    "object_detection": NONE_HERE,
    "tabular": f"{NONE_HERE}; it trains models of text",
}
"""How a task begins -> what to do."""


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft; raises UserError for a task that there is no method for."""
    task, kind = _task(str(arguments["task"]))
    given = Given(arguments, TASKS[task], draft, METHODS[task])
    draft.put(f"{FIELDS}.method", METHODS[task], "task")
    data.put_model(given)
    held_out = data.put_rows(given, _columns(given, task, kind))
    _put_task(given, task, kind)
    training.put(given)
    if held_out or _split_off(given, task):
        data.put_evaluation(given)
        _put_stopping(given)
    else:
        given.unread(["eval_strategy", "early_stopping_patience", "early_stopping_threshold"], "nothing is held out")


def named(said: str) -> str:
    """A task by AutoTrain's own name."""
    name = said.replace("-", "_").partition(":")[0]
    return SPELLINGS.get(name, name)


def _task(said: str) -> tuple[str, str]:
    """AutoTrain's name of a task, and what stands behind the colon."""
    task, kind = named(said), said.replace("-", "_").partition(":")[2]
    if task in TASKS:
        return task, kind
    for beginning, instead in INSTEAD.items():
        if task.removeprefix("text_").startswith(beginning):
            raise UserError(f"task: {said}: {instead}")
    known = ["llm-sft", "llm-dpo", "llm-orpo", "llm-reward", "llm-generic", "text-classification", "text-regression", "seq2seq", "st:pair"]
    raise UserError(f"task: AutoTrain has no task `{said}`{did_you_mean(said, known)}; here are {', '.join(known)}")


def _columns(given: Given, task: str, kind: str) -> dict[str, str]:
    if task == "sentence_transformers":
        names, _ = _pairs(given, kind)
        named = ("sentence1_column", "sentence2_column", "sentence3_column" if names[-1] == "negative" else "target_column")
        columns = dict(zip(names, named, strict=False))
        if missing := [name for name in columns.values() if given[name] is None]:
            raise UserError(f"task: st:{kind or given['trainer']} needs {' and '.join(missing)} in data.column_mapping")
        given.unread(
            [name for name in (*named, "sentence3_column", "target_column") if name not in columns.values()], "of another kind of pairs"
        )
        return columns
    if task == "seq2seq":
        return {"document": "text_column", "summary": "target_column"}
    return {"text": "text_column", "label": "target_column"}


def _pairs(given: Given, kind: str) -> tuple[tuple[str, ...], str]:
    trainer = str(given.arguments.get("trainer", kind or given["trainer"]))
    if trainer not in PAIRS:
        raise UserError(
            f"task: AutoTrain has no `st:{trainer}`{did_you_mean(trainer, [*PAIRS])}; it has {', '.join(f'st:{one}' for one in PAIRS)}"
        )
    return PAIRS[trainer]


def _put_task(given: Given, task: str, kind: str) -> None:
    """What the method is told of the task, and where rows are cut."""
    if task == "text_single_column_regression":
        given.draft.put(f"{FIELDS}.problem_type", "regression", "task")
    if task == "sentence_transformers":
        given.draft.put(f"{FIELDS}.loss", _pairs(given, kind)[1], "trainer" if given.said("trainer") else "task", "AutoTrain's loss")
        given.unread(["max_seq_length"], "AutoTrain doesn't read it: texts are as long as the model itself says")
        return
    given.field("max_length", "max_seq_length")
    given.draft.put(
        f"{FIELDS}.on_too_long", "cut_right", "", "as AutoTrain does unsaid; tokenize/report.html counts and shows them", "safer"
    )
    if task == "seq2seq":
        given.field("max_target_length", "max_target_length")
        adapter.put(given)


def _split_off(given: Given, task: str) -> bool:
    """AutoTrain holds out a fifth of a file here; returns whether it does."""
    source = given.draft.config["datasets"][DATA]["source"]
    if not source.startswith("file://"):
        return False
    stratify = {"stratify": "label"} if task == "text_multi_class_classification" else {}
    given.draft.put(
        f"{data.OF_DATA}.split", {"test_size": data.SHARE, **stratify, "seed": 42}, "", "AutoTrain's, of files without a valid_split"
    )
    return True


def _put_stopping(given: Given) -> None:
    names = ("early_stopping_patience", "early_stopping_threshold")
    if given["eval_strategy"] == "no":
        given.unread(names, "nothing is looked at while training")
        return
    for name in names:
        given.field(name, name)
