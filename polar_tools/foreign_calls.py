"""What polar_tools' functions do where they are given POLAR Trainer's flat arguments: the same table as `polar-tools convert` has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from polar_tools import config as configs
from polar_tools import converting, discovery, execution, foreign_runs, one_folder
from polar_tools.conversions.base import DATA, EXPERIMENT, MODEL, Draft
from polar_tools.errors import UserError
from polar_tools.plan import Plan
from polar_tools.specs import MirrorSpec, PrepareSpec

PROGRAM = "polar_trainer"
MEASURED = ("dtype", "attn_implementation", "attn_fallback", "gpus", "max_length", "on_too_long", "pooling_mode", "mlm_probability")
"""Fields of an experiment that decide how a model is measured, where its method has them."""


class Measured(NamedTuple):
    """A model and rows, as the arguments say them."""

    model: str
    rows: list[dict[str, Any]]
    method: str
    fields: dict[str, Any]


class Copied(NamedTuple):
    """A copy, as the arguments say it."""

    source: str
    target: str
    message: str | None


def folder(flat: Mapping[str, Any]) -> Path:
    """Where POLAR Trainer would put what it makes."""
    if flat.get("output_dir"):
        return Path(flat["output_dir"])
    return Path("__".join(["result", str(flat.get("hugging_face_user_id") or "default"), str(flat.get("project_name") or "polar")]))


def train(flat: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Train and measure below `root`: `final_model_path`, `eval_metrics`, and the `report` of before and after."""
    made = foreign_runs.run(_draft(flat), root)
    return {"final_model_path": str(made.model), "eval_metrics": made.eval_metrics, "report": str(made.report)}


def measured(flat: Mapping[str, Any], root: Path) -> Measured:
    """The model, and the test rows as a training with these arguments would have them, prepared below `root`."""
    draft = _draft(flat if flat.get("train_data") else _all_rows(flat))
    data = one_folder.anchored(draft.config, Path.cwd())
    with foreign_runs.environment(draft):
        prepared = _prepared(data["datasets"][DATA], root)
    experiment = data["experiments"][EXPERIMENT]
    known = discovery.load("methods", experiment["method"]).Config.model_fields
    fields = {name: experiment[name] for name in MEASURED if name in experiment and name in known}
    return Measured(data["models"][MODEL]["source"].removeprefix("file://"), prepared, experiment["method"], fields)


def _all_rows(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments where there are test data and nothing else: all of their rows count."""
    renamed = {name.replace("test_data", "train_data"): value for name, value in flat.items() if value is not None}
    return {**renamed, "train_test_split_ratio": 0}


def _prepared(section: Mapping[str, Any], root: Path) -> list[dict[str, Any]]:
    """The test rows of a dataset, or all of one of which none are held out."""
    from polar_tools import datasets

    plan = Plan(configs.parse({"datasets": {DATA: dict(section)}}, "the rows"))
    execution.make(plan, root, lambda made: isinstance(made.spec, MirrorSpec | PrepareSpec))
    held_out = plan.config.has_test(DATA)
    return datasets.read_rows(root / f"results/datasets/{DATA}" / PrepareSpec.PAYLOAD, "test" if held_out else "train")


@contextmanager
def copying(flat: Mapping[str, Any]) -> Iterator[Copied]:
    """What is copied where to: the model, or else the rows, to the Hub or into a bucket; tokens and keys in the environment meanwhile."""
    kind = "model" if flat.get("model_name_or_path") else "dataset"
    named = {"training_method": "clm", "model_name_or_path": "unnamed", "train_data": "unnamed"}
    if not (flat.get("model_name_or_path") or flat.get("train_data")):
        raise UserError("name what is copied: model_name_or_path, or train_data; or source_repo_id and target_repo_id")
    draft = _draft({**named, **{name: value for name, value in flat.items() if value not in (None, "")}})
    place = draft.config.get("publish", {}).get(EXPERIMENT, {})
    if place.get("push_to_hub"):
        target = f"hf://{'' if kind == 'model' else 'datasets/'}{place['hub_model_id']}"
    elif place.get("push_to_minio"):
        target = f"s3://{place['minio_model_save_bucket']}"
    else:
        raise UserError("say where to: push_to_hub=True, with hub_model_id, or push_to_minio=True, with minio_model_save_bucket")
    section = draft.config["models"][MODEL] if kind == "model" else draft.config["datasets"][DATA]
    with foreign_runs.environment(draft):
        yield Copied(section["source"], target, place.get("message"))


def _draft(flat: Mapping[str, Any]) -> Draft:
    """What the arguments become; paths count as text."""
    said = {name: str(value) if isinstance(value, Path) else value for name, value in flat.items() if value is not None}
    return converting.converted(said, PROGRAM)
