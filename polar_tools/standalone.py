"""A training on its own: the config that it is short for, its artifacts in one folder, and the trained model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import config as configs
from polar_tools import discovery, foreign_calls, one_folder
from polar_tools.config import Model
from polar_tools.dataset_config import Dataset
from polar_tools.errors import ConfigError, UserError
from polar_tools.fields import Frozen, Ref, did_you_mean, marked
from polar_tools.methods.base import Config as Experiment
from polar_tools.one_folder import PATHS
from polar_tools.training import nodes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NAME = "training"
"""The experiment's name; the model's is `model`, the dataset's `data`, and that of its test rows `eval`."""
HELD_OUT = 0.1
"""Share of the rows that is held out where something is to be evaluated and nothing is said about test rows."""
HELD_OUT_BY = ("test_source", "split", "train_test_split_ratio")
"""What says in a dataset which rows are held out."""
TRAINING = f"results/{NAME}/seed0/train"
OWN = ("method", "model", "dataset", "evaluations", "expect", "rank_rows")
"""Fields of an experiment that have another form here, or belong to a whole workflow."""
MODEL_FIELDS = tuple(name for name in Model.model_fields if name not in ("source", "sha256"))
PARTS = {"config_name", "tokenizer_name", "decoder_name"}
"""Of these the ones that say where another model lies."""
DATASET_FIELDS = tuple(
    name
    for name in Dataset.model_fields
    if name not in ("source", "sha256", "test_source", "expect", "decontaminate") and not name.startswith(("train_data", "test_data"))
)
"""Fields of a dataset that are given beside those of an experiment. Which files there are, `train_data` and `eval_data` say."""


def train(
    model_name_or_path: str | Path | PreTrainedModel | None = None,
    train_data: str | Path | Iterable[Mapping[str, Any]] | None = None,
    output_dir: str | Path | None = None,
    *,
    method: str | None = None,
    eval_data: str | Path | Iterable[Mapping[str, Any]] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    data_collator: Any = None,
    overwrite_output_dir: bool = False,
    trackers: Sequence[str | Mapping[str, Any]] = (),
    **fields: Any,
) -> dict[str, Any]:
    """Train a model, and return `final_model_path`, the folder of the (first) trained model, and `eval_metrics` by name.

    `fields` are those of an experiment of `method`, of a dataset (columns, filters, ...) and of a model (revision, ...), as
    config/README.md has them. The model is a folder, a repository of the Hub, or an object; rows are a file, a URI, or dictionaries.
    Everything is made below `output_dir` as the workflow would make it, and config.yaml there says the same as a config. What is
    finished there is not made again; with other settings, or a `data_collator` of your own, which can't be compared, it is replaced only
    under `overwrite_output_dir`. `trackers` are those of the config's `run.trackers`, and change nothing of the result.

    With `training_method` in place of `method`, all arguments are POLAR Trainer's flat ones (docs/convert.md), and what is made has a
    `report` of the model before and after.

    Raises a polar_tools.errors.PolarError whose message says what to do.
    """
    if "training_method" in fields:
        own = {"model_name_or_path": model_name_or_path, "train_data": train_data, "output_dir": output_dir}
        return _by_flat_names({**own, **fields, "overwrite_output_dir": overwrite_output_dir}, tokenizer)
    if model_name_or_path is None or train_data is None or output_dir is None or method is None:
        raise ConfigError("give model_name_or_path, train_data, output_dir and method; or training_method, and POLAR Trainer's arguments")
    root = Path(output_dir)
    if fields.get("nodes", 1) > 1 and not nodes.is_first():
        raise UserError(
            "on its own, a training on several machines is prepared by the first of them; on the others run, once there is the spec, "
            f"`cd {root}; polar-tools train {TRAINING}/spec.json` with the same NODE_RANK and MASTER_ADDR"
        )
    root.mkdir(parents=True, exist_ok=True)
    model, rows = _model(model_name_or_path, tokenizer, root), _rows(train_data, root, "train")
    data = _config(model, rows, None if eval_data is None else _rows(eval_data, root, "eval"), method, fields)
    if trackers:
        data["run"] = {"trackers": [one if isinstance(one, str) else dict(one) for one in trackers]}
    made = one_folder.make(
        data,
        root,
        overwrite_output_dir,
        lambda made: made.spec.stage != "report",
        lambda plan: {"preflight": plan.config.experiments[NAME].preflight, "data_collator": data_collator},
        data_collator is not None,
    )
    return {"final_model_path": str(made.model), "eval_metrics": made.eval_metrics}


def _by_flat_names(told: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase | None) -> dict[str, Any]:
    """A training that POLAR Trainer's arguments say; what is an object is saved first."""
    root = foreign_calls.folder(told)
    root.mkdir(parents=True, exist_ok=True)
    paths = {"model_name_or_path": _model(told["model_name_or_path"], tokenizer, root)} if _is_object(told, "model_name_or_path") else {}
    paths |= {name: _rows(told[name], root, name) for name in ("train_data", "test_data") if _is_object(told, name)}
    return foreign_calls.train({**told, **paths}, root)


def _is_object(told: Mapping[str, Any], name: str) -> bool:
    return told.get(name) is not None and not isinstance(told[name], str | Path)


def option_fields(method: str | None) -> dict[str, dict[str, type[Frozen]]]:
    """Group -> field -> the part of the config that has it: what `train` takes besides its own arguments, of one method or of all."""
    names = discovery.names("methods") if method is None else (discovery.aliases("methods").get(method, method),)
    owner: type[Frozen] = Experiment if method is None else discovery.load("methods", names[0]).Config  # which has its own defaults
    shared: dict[str, type[Frozen]] = {name: owner for name in Experiment.model_fields if name not in OWN}
    groups: dict[str, dict[str, type[Frozen]]] = {
        "Model": dict.fromkeys(MODEL_FIELDS, Model),
        "Data": dict.fromkeys(DATASET_FIELDS, Dataset),
        "Training": shared,
    }
    for name in names:
        config: type[Frozen] = discovery.load("methods", name).Config
        groups[name] = {field: config for field in config.model_fields if field not in Experiment.model_fields}
    return groups


def check(method: str, fields: Mapping[str, Any]) -> None:
    """Raise ConfigError where `train` would refuse these fields whatever the model and the data are; nothing is looked at."""
    owners = {field: owner for group in option_fields(method).values() for field, owner in group.items()}
    parts: dict[type[Frozen], dict[str, Any]] = {Model: {"source": "file://model"}, Dataset: {"source": "file://data"}}
    kind = discovery.load("methods", discovery.aliases("methods").get(method, method)).Config
    experiment = {"method": kind.__module__.rpartition(".")[2], "model": "model", "dataset": "data"}
    for name, value in fields.items():
        parts.get(owners[name], experiment)[name] = value
    for part, told in (*parts.items(), (kind, experiment)):
        configs.parse(told, "arguments", part)


def _config(model: str, train: str, evaluation: str | None, method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a training on its own is short for."""
    owners = {field: owner for group in option_fields(method).values() for field, owner in group.items()}
    if unknown := sorted(set(fields) - set(owners)):
        raise ConfigError("\n".join(f"unknown field `{name}`{did_you_mean(name, list(owners))}" for name in unknown))
    method = discovery.aliases("methods")[method]
    parts: dict[type[Frozen], dict[str, Any]] = {Model: {"source": model}, Dataset: {"source": train}}
    experiment: dict[str, Any] = {"method": method, "model": "model", "dataset": "data"}
    for name, value in fields.items():
        parts.get(owners[name], experiment)[name] = str(Path(value).resolve()) if name in PATHS and Path(str(value)).exists() else value
    for name in PARTS & set(parts[Model]):
        parts[Model][name] = located(parts[Model][name], "model")
    data = {"models": {"model": parts[Model]}, "datasets": {"data": parts[Dataset]}, "experiments": {NAME: experiment}}
    _hold_out(parts[Dataset], evaluation, experiment)
    _name_references(data, discovery.load("methods", method).Config)
    return data


def _hold_out(dataset: dict[str, Any], evaluation: str | None, experiment: dict[str, Any]) -> None:
    """Test rows: of a source of their own, or as the dataset's fields say; a share of all where they are needed and nothing is said."""
    asked = experiment.get("do_eval", False) or experiment.get("eval_strategy", "no") != "no"
    if evaluation is not None:
        dataset["test_source"] = evaluation
    elif asked and not experiment.get("eval_datasets") and not {"split", "train_test_split_ratio"} & set(dataset):
        dataset["train_test_split_ratio"] = HELD_OUT
    if set(HELD_OUT_BY) & set(dataset) and "eval_datasets" not in experiment:
        experiment["eval_datasets"] = {"eval": "data"}
        experiment.setdefault("do_eval", True)


def _name_references(data: dict[str, Any], kind: type[Frozen]) -> None:
    """Give every other model or dataset that the experiment names by where it lies a name and a section of its own."""
    experiment = data["experiments"][NAME]
    for path, ref, place in marked(configs.parse(experiment, NAME, kind), Ref):
        if place not in ("model", "data"):
            *above, last = path.split(".")
            holder = reduce(lambda part, key: part[int(key) if key.isdigit() else key], above, experiment)
            name = holder[int(last) if last.isdigit() else last] = path.replace(".", "_")
            if "datasets" in ref.sections:
                shaped = {key: value for key, value in data["datasets"]["data"].items() if key not in HELD_OUT_BY}
                data["datasets"][name] = {**shaped, "source": located(place, "dataset"), "test_source": located(place, "dataset")}
            else:
                data["models"][name] = {"source": located(place, "model")}


def located(place: str, repo_type: str) -> str:
    """A file or folder of this machine, or ORG/NAME on the Hub, as a URI."""
    if "://" in place:
        return place
    if Path(place).exists():
        return f"file://{Path(place).resolve()}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        return f"hf://{'datasets/' if repo_type == 'dataset' else ''}{place}"
    raise UserError(f"there is no {place} here, and it is no repository of the Hub (ORG/NAME) either")


def _model(given: str | Path | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, root: Path) -> str:
    """The URI of a model; one that is given as an object is saved first."""
    if isinstance(given, str | Path):
        if tokenizer is not None:
            raise ConfigError("`tokenizer` goes with a model that is an object; of a folder or repository name `tokenizer_name`")
        return located(str(given), "model")
    if tokenizer is None:
        raise ConfigError("a model that is an object needs its `tokenizer`")
    folder = root / "given" / "model"
    given.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"file://{folder.resolve()}"


def _rows(given: str | Path | Iterable[Mapping[str, Any]], root: Path, name: str) -> str:
    """The URI of rows; dictionaries are written first."""
    if isinstance(given, str | Path):
        return located(str(given), "dataset")
    file = root / "given" / f"{name}.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), encoding="utf-8", newline="\n")
    return f"file://{file.resolve()}"
