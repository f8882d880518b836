"""The model and the rows: where they lie, which columns count, what is held out, and what is filtered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools import discovery
from polar_tools.conversions.base import DATA, DATA_AT, MODEL_AT, TRAINING_AT, Draft, places
from polar_tools.conversions.polar_trainer import methods
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean
from polar_tools.losses import base as losses
from polar_tools.recognition import POSITIONS

LOADERS = ("huggingface", "minio", "local")
MODEL = ("model_name_or_path", "model_load_method", "minio_model_load_bucket", "model_subfolder", "config_name", "tokenizer_name")
HELD_OUT = ("test_data", "test_data_dir", "test_data_split", "train_test_split_ratio")
DATA_NAMES = ("train_data", "train_data_dir", "train_data_split", "dataset_load_method", "minio_data_load_bucket", "data_filtering")
NAMES = (*MODEL, *DATA_NAMES, *POSITIONS, *HELD_OUT)
BUCKETS = {"model": "models", "dataset": "data"}
"""POLAR Trainer's own, where none is named."""
RATIO = 0.05
"""POLAR Trainer's default share of rows that is held out."""
FILTERS = ("missing", "normalize", "duplicates")
SHAPES = {
    "classification": "classification",
    "masked_lm": "text",
    "causal_lm": "text",
    "sft": "prompt_completion",
    "multimodal": "image_text",
    "dpo": "preference",
    "ppo": "prompt_completion",
    "grpo": "prompt_completion",
    "cross_encoder": "scored_pairs",
}
"""What main, sub and minor column are to a method, by the shape whose roles they fill."""
TURNS = ("messages", "sharegpt")
"""Shapes of one column that a main column alone may have, as its name tells."""


def model(said: Mapping[str, Any], draft: Draft) -> None:
    """Put the model and whose parts it takes."""
    if "model_name_or_path" not in said:
        raise UserError("model_name_or_path is missing: name a folder, or ORG/NAME on the Hub")
    name = str(said["model_name_or_path"])
    source = _source(said, "model_load_method", "minio_model_load_bucket", "model", name)
    draft.put(f"{MODEL_AT}.source", source, "model_name_or_path")
    draft.put(f"{TRAINING_AT}.model", "model", text="the model above")
    _loaded(said, draft, "model_load_method", "minio_model_load_bucket", f"{MODEL_AT}.source")
    if "model_subfolder" in said:
        draft.put(f"{MODEL_AT}.model_subfolder", said["model_subfolder"], "model_subfolder")
    for part in ("config_name", "tokenizer_name"):
        if said.get(part) == name:
            draft.drop(said, [part], "is the model's own")
        elif part in said:
            draft.put(f"{MODEL_AT}.{part}", places.located(str(said[part])), part)


def data(said: Mapping[str, Any], draft: Draft, method: str) -> bool:
    """Put the rows; returns whether any are held out."""
    if "train_data" not in said:
        raise UserError("train_data is missing: name a file or folder, or a data set's ORG/NAME on the Hub")
    source = _source(said, "dataset_load_method", "minio_data_load_bucket", "dataset", str(said["train_data"]))
    draft.put(f"{DATA_AT}.source", source, "train_data")
    draft.put(f"{TRAINING_AT}.dataset", DATA, text="the rows above")
    _loaded(said, draft, "dataset_load_method", "minio_data_load_bucket", f"{DATA_AT}.source")
    _part(said, draft, "train_data", source)
    _columns(said, draft, method)
    _filters(said, draft)
    return _held_out(said, draft, source)


def _source(said: Mapping[str, Any], how: str, bucket: str, kind: str, name: str) -> str:
    """Where something lies, as a URI; raises UserError for a way to load that there isn't."""
    way = str(said.get(how, "huggingface"))
    if way not in LOADERS:
        raise UserError(f"{how}: there is no `{way}`{did_you_mean(way, list(LOADERS)) or '; there are ' + ', '.join(LOADERS)}")
    if way == "minio":
        return places.in_bucket(str(said.get(bucket, BUCKETS[kind])), name)
    return places.located(name, kind)


def _loaded(said: Mapping[str, Any], draft: Draft, how: str, bucket: str, place: str) -> None:
    if how in said:
        draft.note("became", how, (place,))
    if said.get(how) == "minio" and bucket in said:
        draft.note("became", bucket, (place,))
    else:
        draft.drop(said, [bucket], f"read only where {how} is minio")


def _part(said: Mapping[str, Any], draft: Draft, name: str, source: str) -> None:
    """Put folder and split of the files in a source."""
    folder, split = f"{name}_dir", f"{name}_split"
    if folder in said:
        draft.put(f"{DATA_AT}.{folder}", said[folder], folder)
    if places.is_file(source):
        draft.drop(said, [split], "a single file has no splits")
    elif split in said:
        draft.put(f"{DATA_AT}.{split}", said[split], split)


def _columns(said: Mapping[str, Any], draft: Draft, method: str) -> None:
    """Put the columns by their position in the shape that the method trains on; what isn't named is recognised."""
    named = [name for name in POSITIONS if name in said]
    if not named:
        return
    if method == "sentence_transformer" or (method == "cross_encoder" and (said.get("num_labels") or 1) > 1):
        _pairs(said, draft, named, method)
        return
    shape = _shape(said, method, named)
    read = named if shape == "auto" else named[: len(discovery.load("shapes", shape).ROLES)]
    if shape == "auto":
        draft.put(f"{DATA_AT}.shape", "auto", "dataset_main_column", "its name is that of dialogues, which are recognised by themselves")
        draft.drop(said, named[1:], "dialogues stand in one column")
        return
    draft.put(f"{DATA_AT}.shape", shape, text=f"what {method} trains on, which says what the columns are")
    for name in read:
        draft.put(f"{DATA_AT}.{name}", said[name], name)
    draft.drop(said, named[len(read) :], f"{method} reads no more columns than {len(read)}")


def _shape(said: Mapping[str, Any], method: str, named: list[str]) -> str:
    main = str(said.get(POSITIONS[0], "")).casefold()
    if method in ("sft", "multimodal") and named == [POSITIONS[0]]:
        turns = any(main in next(iter(discovery.load("shapes", shape).ROLES.values())) for shape in TURNS)
        return "auto" if turns or method == "multimodal" else "text"
    return SHAPES[method]


def _pairs(said: Mapping[str, Any], draft: Draft, named: list[str], method: str) -> None:
    """Put the columns of pairs and triplets by the roles that the loss reads."""
    roles = discovery.load("losses", methods.loss_of(said)).COLUMNS if method == "sentence_transformer" else losses.LABELS
    wanted = next((one for one in roles if len(one) == len(named)), max(roles, key=len))
    if len(wanted) > len(named):
        missing = ", ".join(name for name in POSITIONS[: len(wanted)] if name not in said)
        raise UserError(
            f"{missing}: {', '.join(wanted)} are what the loss reads; name the column of each, or none where they are called so"
        )
    if len(wanted) < len(named):
        draft.drop(said, named[len(wanted) :], "the loss reads " + ", ".join(wanted))
    draft.put(f"{DATA_AT}.shape", "none" if "label" in wanted else "auto", text="by the roles in `columns`")
    for name, role in zip(named, wanted, strict=False):
        draft.put(f"{DATA_AT}.columns.{role}", said[name], name)


def _filters(said: Mapping[str, Any], draft: Draft) -> None:
    """POLAR Trainer filters by default."""
    place, asked = f"{DATA_AT}.filters", said.get("data_filtering", True)
    why = "rows with nothing in a column and rows that stand twice are dropped, and texts are written in composed characters (NFC)"
    name = "data_filtering" if "data_filtering" in said else ""
    draft.put(place, list(FILTERS) if asked else [], name, why if asked else "every row stays")


def _held_out(said: Mapping[str, Any], draft: Draft, source: str) -> bool:
    """Test data of their own, or else a share of the rows."""
    if "test_data" in said:
        _test_data(said, draft, source)
        draft.drop(said, ["train_test_split_ratio"], "test_data says which rows are held out")
        return True
    draft.drop(said, ["test_data_dir", "test_data_split"], "read only with test_data")
    place, share = f"{DATA_AT}.train_test_split_ratio", said.get("train_test_split_ratio", RATIO)
    if not share:
        draft.drop(said, ["train_test_split_ratio"], "0 holds no rows out, so that nothing can be measured")
        return False
    if "train_test_split_ratio" in said:
        draft.put(place, share, "train_test_split_ratio")
    else:
        draft.put(place, share, text="POLAR Trainer's default")
    return True


def _test_data(said: Mapping[str, Any], draft: Draft, source: str) -> None:
    found = _source(said, "dataset_load_method", "minio_data_load_bucket", "dataset", str(said["test_data"]))
    if found != source:
        draft.put(f"{DATA_AT}.test_source", found, "test_data")
    else:
        draft.note("became", "test_data", (f"{DATA_AT}.source",), "the source of the training rows")
        if not {"test_data_dir", "test_data_split"} & set(said):
            raise UserError("test_data is train_data, so that nothing would be held out: name its test_data_split, or another test_data")
    _part(said, draft, "test_data", found)
