"""A config for rows that somebody has: what they are, which methods they suit, and what a first training of them looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from polar_tools import discovery, pictures, reading, recognition
from polar_tools.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BASE, ROWS, HELD_OUT = "base", "rows", "held_out"
"""What the parts of a proposed config are called."""
LOOKED_AT = 1000
"""Rows of which the language is told."""
FEW = 200
"""Rows below which a tenth of them would measure nothing."""
ORDER = ("classification", "dpo", "kto", "causal_lm", "sft", "seq2seq", "sentence_transformer", "cross_encoder", "multimodal", "masked_lm")
"""What people more often want of rows that several methods suit."""
MODELS = {
    "AutoModel": ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"),
    "AutoModelForCausalLM": ("HuggingFaceTB/SmolLM2-135M-Instruct", "Qwen/Qwen3-0.6B"),
    "AutoModelForImageTextToText": ("HuggingFaceTB/SmolVLM-256M-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
    "AutoModelForMaskedLM": ("answerdotai/ModernBERT-base", "klue/roberta-base"),
    "AutoModelForSeq2SeqLM": ("google-t5/t5-small", "gogamza/kobart-base-v2"),
    "AutoModelForSequenceClassification": ("answerdotai/ModernBERT-base", "klue/roberta-base"),
}
"""What methods load -> a small model on the Hub to begin with, and one that knows Korean; none asks for an account."""
ADAPTED = ("AutoModelForCausalLM", "AutoModelForImageTextToText")
"""What is so large that an adapter is trained rather than all of it."""


@dataclass(frozen=True)
class Rows:
    """What is known of somebody's rows."""

    shape: str
    columns: dict[str, str]
    """Role in the shape -> column of the data."""
    reason: str
    standard: tuple[str, ...]
    """The columns that methods read."""
    count: int
    is_korean: bool


def look(data: Path, columns: Mapping[str, str], shape: str | None = None) -> Rows:
    """What the rows in `data` are; `columns` says of roles which column they have. Raises DataError where that can't be told."""
    tables = reading.read(data)
    first = next(tables)
    found = recognition.recognise(first.schema, shape, columns)
    if found is None:
        raise DataError(recognition.unrecognised(first.schema, columns).replace("`columns: {NAME: column}`", "--column NAME=COLUMN"))
    standard = found.convert(first)
    count = first.num_rows + sum(table.num_rows for table in tables)
    return Rows(found.name, found.columns, found.reason, tuple(standard.column_names), count, _is_korean(first, found.columns.values()))


def _is_korean(table: pa.Table, columns: Iterable[str]) -> bool:
    """Whether most letters of the texts are Hangul."""
    text = "".join(str(value) for column in columns for value in table[column].slice(0, LOOKED_AT).to_pylist())
    letters = sum(letter.isalpha() for letter in text)
    return letters > 0 and sum("가" <= letter <= "힣" for letter in text) > letters / 2


def methods(rows: Rows) -> list[str]:
    """The methods that such rows suit and that need nothing else, the likeliest first."""
    suit = {
        name: max((len(wanted) for wanted in method.COLUMNS if pictures.fits(wanted, rows.standard)), default=0)
        for name, method in discovery.modules("methods").items()
    }
    known = [name for name, used in suit.items() if used and _is_complete(name)]
    return sorted(known, key=lambda name: (-suit[name], ORDER.index(name) if name in ORDER else len(ORDER), name))


def _is_complete(method: str) -> bool:
    """Whether an experiment of a method can be without fields of which nobody could propose a value, such as a reward."""
    try:
        discovery.load("methods", method).Config.model_validate({"method": method, "model": "model", "dataset": "data"})
    except ValidationError:
        return False
    return True


def model(method: str, is_korean: bool) -> str:
    """A small model to begin with."""
    english, korean = MODELS[discovery.load("methods", method).MODEL_CLASS]
    return korean if is_korean else english


def config(rows: Rows, method: str, model: str, data: str, gpus: int, preset: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """A config, and its comments by place; `model` and `data` are URIs."""
    experiment, about = _experiment(method, gpus, preset)
    made = {
        "models": {BASE: {"source": model}},
        "datasets": {ROWS: _dataset(rows, method, data)},
        "evaluations": {HELD_OUT: {"dataset": ROWS, **_measured(rows, method)}},
        "experiments": {method: {"method": method, "model": BASE, "dataset": ROWS, "evaluations": [HELD_OUT], **experiment}},
    }
    return made, {**_comments(rows, model), **{f"experiments.{method}.{field}": text for field, text in about.items()}}


def _dataset(rows: Rows, method: str, data: str) -> dict[str, Any]:
    size: float = 0.2 if rows.count < FEW else 0.1
    split: dict[str, Any] = {"test_size": size, "seed": 0}
    if method == "classification" and "label" in rows.standard:
        split["stratify"] = "label"
    normalized = ["normalize"] if rows.is_korean else []
    return {"source": data, "shape": rows.shape, "columns": rows.columns, "filters": [*normalized, "missing", "duplicates"], "split": split}


def _measured(rows: Rows, method: str) -> dict[str, Any]:
    """Metrics where those of the method would say little: of Korean, whose words carry their particles with them."""
    metrics = discovery.load("methods", method).METRICS
    if "rouge" not in metrics or not rows.is_korean:
        return {}
    tokenizer = "morpheme" if find_spec("kiwipiepy") else "char"
    return {"metrics": [{"name": "rouge", "tokenizer": tokenizer} if name == "rouge" else name for name in metrics]}


def _experiment(method: str, gpus: int, preset: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of a first training, and what is to be said of them."""
    fields: dict[str, Any] = {"seeds": [0]}
    about = {"seeds": "several, such as [0, 1, 2], show how much is chance"}
    if gpus:
        fields |= {"gpus": gpus, "bf16": True}
        about["gpus"] = "GPUs of this machine; 0 trains on the processor"
    if preset or discovery.load("methods", method).MODEL_CLASS in ADAPTED:
        fields["preset"] = preset or "auto"
        about["preset"] = "an adapter, epochs and learning rate by how many rows there are; any field that stands here counts more"
    else:
        fields |= {"num_train_epochs": 3, "learning_rate": 2e-5}
        about["num_train_epochs"] = "to try it first: max_steps: 10"
    fields |= {"per_device_train_batch_size": 8, "logging_steps": 5}
    about["per_device_train_batch_size"] = "where memory runs out, fewer are taken at a time and more summed, by itself"
    return fields, about


def _comments(rows: Rows, model: str) -> dict[str, str]:
    filters = "what is mended or left out, and counted: config/README.md has all of them"
    pinned = "" if not model.startswith("hf://") or "@" in model else "\npin it by its commit: hf://ORG/NAME@COMMIT"
    return {
        "models": "what is trained" + pinned,
        "datasets": f"{rows.count:,} rows; {rows.reason}",
        f"datasets.{ROWS}.filters": filters,
        f"datasets.{ROWS}.split": "what is held out, so that the model is measured on rows that it hasn't seen",
        "evaluations": "measured of the untouched model and of the trained one, by the same code",
        "experiments": "all fields and what they mean: polar-tools train --method NAME --help",
    }
