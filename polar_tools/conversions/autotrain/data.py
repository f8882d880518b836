"""Where AutoTrain's model and rows lie, and which files of them are trained on and held out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from polar_tools.conversions.autotrain.given import FIELDS, Given
from polar_tools.conversions.autotrain.names import dashed
from polar_tools.conversions.base import DATA, EVALUATION, MODEL, places
from polar_tools.errors import UserError

SUFFIXES = (".csv", ".jsonl")
"""Of what AutoTrain looks for by the name of a split, in this order."""
SHARE = 0.2
"""What tasks other than language models hold out where nothing is said."""
WATCHED = "held_out"
"""What the rows that are looked at while training are called there."""
OF_DATA = f"datasets.{DATA}"


def put_model(given: Given) -> None:
    """The model: a folder, or a repository of the Hub."""
    given.draft.put(
        f"models.{MODEL}.source",
        places.located(str(given["model"]), "model"),
        "model" if given.said("model") else "",
        _default(given, "model"),
    )
    given.link(f"{FIELDS}.model", MODEL)
    given.draft.note(
        "safer",
        "",
        (f"{FIELDS}.trust_remote_code",),
        "stays false, where AutoTrain runs whatever code comes with a model or a dataset",
    )


def _default(given: Given, name: str) -> str:
    return "" if given.said(name) else f"AutoTrain's default of {dashed(name)}"


def put_rows(given: Given, columns: Mapping[str, str]) -> bool:
    """The dataset with `columns` (ours -> the parameter that names it); returns whether rows are held out by a split of their own."""
    told = "data_path" if given.said("data_path") else ""
    path, draft = str(given["data_path"]), given.draft
    train, valid = str(given["train_split"]), given["valid_split"]
    file = _own_file(path, train)
    if file is not None:
        draft.put(f"{OF_DATA}.source", f"file://{file.as_posix()}", told, "the file that AutoTrain takes of the folder")
        given.unread(["train_split"], f"names {file.name}")
        if valid is not None:
            draft.put(f"{OF_DATA}.test_source", f"file://{_beside(file, str(valid)).as_posix()}", "valid_split")
    else:
        draft.put(f"{OF_DATA}.source", places.located(path, "dataset"), told, _default(given, "data_path"))
        _put_split(given, path, "train", "train_split")
        if valid is not None:
            _put_split(given, path, "test", "valid_split")
    if valid is None:
        given.unread(["valid_split"], "it names no split")
    given.link(f"{FIELDS}.dataset", DATA)
    _put_columns(given, columns, file)
    return valid is not None


def _own_file(path: str, split: str) -> Path | None:
    """The file that AutoTrain reads for a split of a folder here; None where it would ask `datasets`. A file may be named itself."""
    folder = Path(path).expanduser()
    if folder.is_file():
        return folder
    return next((file for file in (folder / f"{split}{suffix}" for suffix in SUFFIXES) if file.is_file()), None)


def _beside(train: Path, split: str) -> Path:
    file = train.with_name(f"{split}{train.suffix}")
    if not file.is_file():
        raise UserError(f"--valid-split {split}: there is no {file}")
    return file


def _put_split(given: Given, path: str, part: str, name: str) -> None:
    """A split by its word in the files' names, behind CONFIG: where it is one of a configuration of the dataset."""
    config, _, split = str(given[name]).rpartition(":")
    if "[" in str(given[name]):
        raise UserError(f"{dashed(name)}: `{given[name]}` is a slice of a split; write the rows that you mean into a file of their own")
    if config:
        given.put(f"{OF_DATA}.{part}_data_dir", name, config, "configurations are folders of the repository")
    if not given.said(name) and not _has_splits(Path(path).expanduser(), split):
        return
    given.put(f"{OF_DATA}.{part}_data_split", name, split)


def _has_splits(folder: Path, split: str) -> bool:
    """Whether files of a folder here say a split in their names; of one elsewhere most do."""
    if not folder.is_dir():
        return True
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return any(re.search(rf"(?:^|[/._-]){re.escape(split)}(?:[/._-]|$)", name) for name in names)


def _put_columns(given: Given, columns: Mapping[str, str], file: Path | None) -> None:
    for ours, name in columns.items():
        given.put(f"{OF_DATA}.columns.{ours}", name, given[name])
    texts = [ours for ours in columns if ours in ("messages", "chosen", "rejected")]
    listed = [ours for ours in texts if given["chat_template"] is not None and _is_text(file, given[columns[ours]])]
    if listed:
        given.draft.put(f"{OF_DATA}.json_columns", listed, "", "their messages are text in this file, which AutoTrain reads as a list too")
    given.draft.put(f"{OF_DATA}.filters", ["missing"], "", "rows without a value are left out, and counted", "safer")


def _is_text(file: Path | None, column: str) -> bool:
    """Whether a file that is here has text in a column, where messages are wanted."""
    if file is None or file.suffix != ".jsonl":
        return file is not None and file.suffix in (".csv", ".tsv")
    with file.open(encoding="utf-8") as lines:
        try:
            first = json.loads(next((line for line in lines if line.strip()), "{}"))
        except ValueError:
            return False  # prepare says where
    return isinstance(first, dict) and isinstance(first.get(column), str)


def put_evaluation(given: Given, metrics: Sequence[str] = ()) -> None:
    """What is held out is measured, by `metrics` if not the method's, and looked at while training as `eval_strategy` says."""
    draft, strategy = given.draft, given["eval_strategy"]
    draft.put(f"evaluations.{EVALUATION}.dataset", DATA, "", "the untouched and the trained model are measured on the rows held out")
    given.link(f"{FIELDS}.evaluations", [EVALUATION])
    if metrics:
        draft.put(f"evaluations.{EVALUATION}.metrics", [*metrics], "", "plain text has no question that a model could answer")
    if strategy == "no":
        given.unread(["eval_strategy"], "the rows held out are measured before and after the training only")
        return
    draft.put(f"{FIELDS}.eval_datasets", {WATCHED: DATA}, "", "the rows held out are looked at while training too")
    given.field("eval_strategy", "eval_strategy")
    given.field("save_strategy", "eval_strategy", strategy)
    draft.put(f"{FIELDS}.load_best_model_at_end", True, "", "what AutoTrain does with a split that is held out")
    given.field("per_device_eval_batch_size", "batch_size")
    if strategy == "steps":
        every = given["logging_steps"] if given["logging_steps"] > 0 else 10
        draft.put(f"{FIELDS}.save_steps", -(-500 // every) * every, "", "a multiple of the steps between two evaluations")
