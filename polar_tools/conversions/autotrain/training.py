"""What all of AutoTrain's tasks share: how long and how is trained, what is logged, and what is published."""

from __future__ import annotations

import os
import re
from typing import Any

from polar_tools.conversions.autotrain.given import FIELDS, Given
from polar_tools.conversions.base import DATA, EXPERIMENT
from polar_tools.errors import UserError

PLACEHOLDER = re.compile(r"\$\{?(\w+)\}?")
TOKEN = "HF_TOKEN"  # noqa: S105 (the name of a variable)
RENAMED = {"adamw_hf": "adamw_torch"}
"""Optimizers that transformers has no more -> what computes the same."""
OF_LOG = {"wandb": {"tracker": "wandb"}, "tensorboard": {"tracker": "tensorboard", "log_dir": "runs"}}

FEWER = (
    "where memory runs out, fewer rows at a time and more accumulation, so that a step trains on the same rows; AutoTrain's batch shrinks"
)


def put(given: Given) -> None:
    """The fields of every training."""
    project = str(given["project_name"])
    given.put("project_name", "project_name", project)
    given.field("learning_rate", "lr")
    given.field("num_train_epochs", "epochs")
    given.field("per_device_train_batch_size", "batch_size")
    given.field("gradient_accumulation_steps", "gradient_accumulation")
    given.field("lr_scheduler_type", "scheduler")
    given.field("warmup_steps", "warmup_ratio", _share(given["warmup_ratio"]), "below 1 a share of all steps")
    given.field("optim", "optimizer", RENAMED.get(given["optimizer"], given["optimizer"]))
    given.field("weight_decay", "weight_decay")
    given.field("max_grad_norm", "max_grad_norm")
    given.field("seeds", "seed", [given.number("seed")])
    given.field("save_total_limit", "save_total_limit")
    _put_precision(given)
    _put_batches(given)
    _put_logging(given)
    if given.said("save_strategy"):
        given.field("save_strategy", "save_strategy")
    _put_hub(given, project)


def _share(ratio: Any) -> float:
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio < 1:
        raise UserError(f"--warmup-ratio: `{ratio}` is no share of the steps below 1")
    return float(ratio)


def _put_precision(given: Given) -> None:
    precision = given["mixed_precision"]
    if precision in ("fp16", "bf16"):
        given.field(precision, "mixed_precision", True)
        if precision == "fp16":
            given.draft.put(f"{FIELDS}.gpus", 1, "", "fp16 needs one; AutoTrain takes all that the machine shows")
    elif precision in (None, "no"):
        given.unread(["mixed_precision"], "weights and sums stay in float32")
    else:
        raise UserError(f"--mixed-precision: AutoTrain knows fp16 and bf16, not `{precision}`")


def _put_batches(given: Given) -> None:
    name = "auto_find_batch_size"
    if given.said(name):
        given.field(name, name, bool(given[name]), FEWER if given[name] else "", "safer" if given[name] else None)
    else:
        given.draft.note("safer", "", (f"{FIELDS}.{name}",), FEWER)


def _put_logging(given: Given) -> None:
    if given["logging_steps"] == -1:
        given.unread(["logging_steps"], "AutoTrain takes a fifth of an epoch, at most 25 steps; here it is every 10 steps")
    else:
        given.field("logging_steps", "logging_steps")
    log = given["log"]
    if log is None:
        given.unread(["log"], "the report and metrics.jsonl are written in any case")
    elif log in OF_LOG:
        given.put("run.trackers", "log", [OF_LOG[log]])
    else:
        raise UserError(f"--log: AutoTrain knows none, wandb and tensorboard, not `{log}`; trackers here: docs/track.md")


def _put_hub(given: Given, project: str) -> None:
    """A private repository, as AutoTrain makes it. No secret gets into the config."""
    token = given["token"]
    if given.said("token"):
        found = filled(token, "") if token else None
        given.draft.environment |= {TOKEN: str(found)} if found else {}
        given.draft.note("secret", "token", (TOKEN,), f"belongs into the environment: export {TOKEN}=...")
    if not given["push_to_hub"]:
        given.unread(["push_to_hub", "username", "repo_id"], "nothing is published")
        return
    place, owner = f"publish.{EXPERIMENT}", given["username"]
    name = f"{filled(owner, 'username')}/{project}" if owner else project
    given.draft.put(f"{place}.experiment", EXPERIMENT, "push_to_hub")
    given.draft.put(f"{place}.push_to_hub", True, "push_to_hub")
    given.draft.put(f"{place}.hub_model_id", str(given["repo_id"] or name), "repo_id" if given["repo_id"] else "username" if owner else "")
    if owner and given["repo_id"]:
        given.unread(["username"], "--repo-id names the repository")
    given.unread(["username"] if not owner else [], "the repository is in the account of the token")
    given.draft.put(f"{place}.private", True, "", "as AutoTrain makes its repositories")
    why = "a private repository, of a model and rows whose licences nobody has named yet; name them before you open it"
    given.draft.put(
        f"{place}.waive", {"licenses": why}, "", f"AutoTrain asks for no licences; name them (`licenses`, {DATA} too) and take this out"
    )


def filled(value: Any, name: str) -> str | None:
    """`value`, or what the environment has for one of the form ${NAME}; where there is nothing, None, or UserError with a `name`."""
    found = PLACEHOLDER.fullmatch(str(value))
    if found is None:
        return str(value)
    if name and not os.environ.get(found[1]):
        raise UserError(f"{name}: `{value}` is to come from the environment, which has no {found[1]}: export {found[1]}=...")
    return os.environ.get(found[1])
